//! `migrate-doctor`: looks at settings, both sides and the plan, and says what stands in the way.
//!
//! Each part looks at one thing and adds to the [`Diagnosis`]; none ends the others. What each finding means is one table,
//! [`findings`].

mod convex;
mod database;
mod diagnosis;
mod findings;
mod network;
mod plan;
mod settings;
mod supabase;
#[cfg(test)]
mod tests;
mod text;

use clap::Parser;
use migrate_core::plan::{MigrateConfig, suggest};

pub(super) use self::diagnosis::Diagnosis;
use self::diagnosis::SettingReport;
use self::findings::{Code, Finding, RULES, Severity};
use self::network::{Network, System};
use super::{AccessOptions, ProjectArguments, help};
use crate::environment::{Environment, Origin};
use crate::files::{self, ConfigFailure};
use crate::{VERSION, exit, output};

/// Seconds that clocks may differ: tokens and logs allow for less than a minute.
const CLOCK_TOLERANCE: u64 = 30;

const EXAMPLES: &[(&str, &str)] = &[
    ("migrate-doctor", "look at this folder's project"),
    ("migrate-doctor --config cms/migrate.toml", "at another one"),
    ("migrate-doctor --explain clock_skew", "what a finding means"),
    ("migrate-doctor --json | jq '.findings[].code'", "in a script"),
];

/// Checks settings, keys, rights, tables, functions and the plan; says what stands in the way
///
/// It shows where each setting comes from, reaches Supabase, Postgres and Convex, proves the keys' rights, lists tables
/// that are there and cannot be read, and compares the deployed functions with the plan. It writes nothing, reads no
/// rows, and shows no secret. What is not there yet, such as a plan, is left out.
///
/// Each finding has a code, which docs/doctor.md explains, and says what mends it.
#[derive(Debug, Parser)]
#[command(name = "migrate-doctor", version = VERSION, max_term_width = 100)]
#[command(after_long_help = help::after(EXAMPLES, help::SIMPLE))]
pub(super) struct Arguments {
    #[command(flatten)]
    project: ProjectArguments,
    /// Print what was seen as JSON, instead of text
    #[arg(long)]
    json: bool,
    /// Look at nothing; say what a finding means and what mends it
    #[arg(long, value_name = "CODE")]
    explain: Option<String>,
    #[command(flatten)]
    access: AccessOptions,
}

pub(super) async fn main(arguments: Arguments) -> u8 {
    arguments.project.output.apply();
    if let Some(code) = &arguments.explain {
        return explain(code);
    }
    let diagnosis = diagnose(&arguments, &System).await;
    if arguments.json {
        output::json(&serde_json::to_string_pretty(&diagnosis).unwrap_or_default());
    } else {
        output::data(&text::text(&diagnosis, output::width()));
    }
    if diagnosis.count(Severity::Error) > 0 { exit::SETUP } else { exit::OK }
}

fn explain(code: &str) -> u8 {
    let Some(rule) = RULES.iter().find(|rule| rule.name == code) else {
        let known: Vec<String> = RULES.iter().map(|rule| rule.name.to_owned()).collect();
        output::error(&format!("there is no finding {code}: {}", suggest(code, &known)));
        return exit::USAGE;
    };
    output::line(&format!("{}: {}\n\n{}\n\nremedy: {}", rule.severity.as_str(), rule.name, rule.about, rule.remedy));
    exit::OK
}

async fn diagnose(arguments: &Arguments, network: &impl Network) -> Diagnosis {
    let project = &arguments.project;
    let mut diagnosis = Diagnosis::new();
    let config = configuration(&mut diagnosis, project);
    let (environment, broken) = Environment::read_all(project.folder());
    if let Some(error) = broken {
        diagnosis.fail(Code::EnvironmentFileBroken, &error);
    }
    let planned = plan::read(&mut diagnosis, project);
    plan::compare(&mut diagnosis, &planned, config.as_ref(), project.folder());

    let config = config.unwrap_or_default();
    let known = planned.plan.as_ref();
    let sides = settings::examine(&mut diagnosis, &environment, &config, known, arguments.access);
    let of_postgres = match &sides.postgres {
        Some(postgres) => database::examine(&mut diagnosis, postgres, network).await,
        None => None,
    };
    if let Some(probe) = &sides.supabase
        && let Some(catalog) = supabase::examine(&mut diagnosis, probe, &config, known, of_postgres).await
    {
        plan::drift(&mut diagnosis, &planned, &catalog);
    }
    if let Some(probe) = &sides.convex {
        convex::examine(&mut diagnosis, probe, known).await;
    }
    diagnosis.findings.sort_by_key(|finding| finding.severity);
    diagnosis
}

/// The configuration, or the defaults where there is none; none where it is wrong.
fn configuration(diagnosis: &mut Diagnosis, project: &ProjectArguments) -> Option<MigrateConfig> {
    let path = project.config_path();
    let origin = match &project.config {
        Some(_) => Some(Origin::Flag),
        None => path.exists().then(|| Origin::File(path.to_owned())),
    };
    diagnosis.settings.push(match origin {
        Some(origin) => SettingReport::from("--config", &origin),
        None => SettingReport::unset("--config"),
    });
    match files::config(path, project.config.is_some()) {
        Ok((config, _)) => Some(config),
        Err(ConfigFailure::Io(error)) => {
            diagnosis.fail(Code::ConfigInvalid, &error);
            None
        }
        Err(ConfigFailure::Text(error)) => {
            let place = match error.line {
                0 => error.file.clone(),
                line => format!("{}:{line}:{}", error.file, error.column),
            };
            let found = Finding::new(Code::ConfigInvalid, format!("{place}: {}", error.message));
            diagnosis.findings.push(match error.remedy {
                Some(remedy) => found.with_remedy(remedy),
                None => found,
            });
            None
        }
    }
}

fn clock_skew(diagnosis: &mut Diagnosis, side: &str, seconds: i64) {
    if seconds.unsigned_abs() > CLOCK_TOLERANCE {
        let direction = if seconds > 0 { "ahead of" } else { "behind" };
        diagnosis.find(
            Code::ClockSkew,
            format!("the clock of {side} is {} s {direction} this machine's", seconds.unsigned_abs()),
        );
    }
}
