//! All that was seen, as `--json` prints it.

use schemars::JsonSchema;
use serde::Serialize;

use super::findings::{Code, Finding, Severity};
use crate::environment::{Origin, Setting};

/// Version of the format.
pub(crate) const DIAGNOSIS_VERSION: u32 = 1;

/// What `migrate-doctor` saw: settings, both sides, and findings. It holds no secret and no value of a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Diagnosis {
    /// Format version.
    pub(crate) version: u32,
    /// The program and its version.
    pub(crate) tool: String,
    /// When it was made.
    pub(crate) timestamp: String,
    /// Where each setting comes from.
    pub(crate) settings: Vec<SettingReport>,
    /// The Supabase project.
    pub(crate) supabase: SupabaseReport,
    /// The project's Postgres.
    pub(crate) database: DatabaseReport,
    /// The Convex deployment.
    pub(crate) convex: ConvexReport,
    /// What a person should know, the most urgent first.
    pub(crate) findings: Vec<Finding>,
}

/// One setting. Its value is not told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct SettingReport {
    /// The name that it is set by; the first of its names where it is not set.
    pub(crate) name: String,
    /// The kind of place; none where it is not set.
    pub(crate) origin: Option<OriginKind>,
    /// The file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) file: Option<String>,
}

/// The kind of place that a setting comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum OriginKind {
    /// The command line.
    Flag,
    /// The environment of the process.
    Environment,
    /// An environment file.
    File,
    /// migrate.toml.
    Config,
}

impl SettingReport {
    pub(super) fn unset(name: &str) -> Self {
        Self { name: name.to_owned(), origin: None, file: None }
    }

    pub(super) fn from(name: &str, origin: &Origin) -> Self {
        let (kind, file) = match origin {
            Origin::Flag => (OriginKind::Flag, None),
            Origin::Environment => (OriginKind::Environment, None),
            Origin::File(path) => (OriginKind::File, Some(path.display().to_string())),
            Origin::Config => (OriginKind::Config, None),
        };
        Self { name: name.to_owned(), origin: Some(kind), file }
    }

    pub(super) fn of(setting: &Setting) -> Self {
        Self::from(setting.name, &setting.origin)
    }
}

/// The Supabase project, as far as it was seen.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct SupabaseReport {
    /// Host and port.
    pub(crate) address: Option<String>,
    /// The kind of key, by its form.
    pub(crate) key: Option<String>,
    /// Whether the key is an administrator's.
    pub(crate) admin: Option<Proof>,
    /// PostgREST's version.
    pub(crate) postgrest: Option<String>,
    /// Seconds that its clock is ahead of this machine's.
    pub(crate) clock_skew_seconds: Option<i64>,
    /// Tables and views that can be read.
    pub(crate) readable_tables: Option<usize>,
    /// Tables and views that are there and cannot be read.
    pub(crate) unreadable_tables: Vec<String>,
    /// Rows that one answer has at most (`db-max-rows`), or has at least where `max_rows_is_exact` is false.
    pub(crate) max_rows: Option<u64>,
    /// Whether an answer was seen to end there.
    pub(crate) max_rows_is_exact: bool,
}

/// What was proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Proof {
    /// The other side says so.
    Proven,
    /// The other side says no.
    Refused,
    /// The other side does not say.
    Untold,
}

/// The project's Postgres, as far as it was seen.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct DatabaseReport {
    /// Host and port.
    pub(crate) address: Option<String>,
    /// What answers there: `direct`, `session pooler`, `transaction pooler`, `other` or `socket`.
    pub(crate) kind: Option<String>,
    /// Postgres' version.
    pub(crate) postgres: Option<String>,
}

/// The Convex deployment, as far as it was seen.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct ConvexReport {
    /// Host and port.
    pub(crate) address: Option<String>,
    /// What the key says of it: `production`, `development` or `other`.
    pub(crate) deployment: Option<String>,
    /// The backend's version, where it tells one.
    pub(crate) version: Option<String>,
    /// Whether the key may write.
    pub(crate) admin: Option<Proof>,
    /// Seconds that its clock is ahead of this machine's.
    pub(crate) clock_skew_seconds: Option<i64>,
    /// The functions that the plan needs.
    pub(crate) functions: Option<FunctionCounts>,
}

/// How many of the functions that the plan needs are deployed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct FunctionCounts {
    /// All of them.
    pub(crate) planned: usize,
    /// Those that are deployed as planned.
    pub(crate) current: usize,
    /// Those that are there, whose arguments are not shown.
    pub(crate) present: usize,
    /// Those that are not deployed.
    pub(crate) missing: usize,
    /// Those that are deployed otherwise.
    pub(crate) differing: usize,
}

impl Diagnosis {
    /// Nothing seen yet.
    pub(super) fn new() -> Self {
        Self {
            version: DIAGNOSIS_VERSION,
            tool: concat!("migrate-doctor ", env!("CARGO_PKG_VERSION")).to_owned(),
            timestamp: jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            settings: Vec::new(),
            supabase: SupabaseReport::default(),
            database: DatabaseReport::default(),
            convex: ConvexReport::default(),
            findings: Vec::new(),
        }
    }

    /// Adds a finding with the remedy of the table.
    pub(super) fn find(&mut self, code: Code, message: impl Into<String>) {
        self.findings.push(Finding::new(code, message));
    }

    /// Adds what failed.
    pub(super) fn fail(&mut self, code: Code, error: &migrate_core::Error) {
        self.findings.push(Finding::of(code, error));
    }

    /// How many findings are of a severity.
    pub(super) fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.severity == severity).count()
    }
}
