use std::io;
use std::net::IpAddr;
use std::path::Path;

use anstream::adapter::strip_str;
use clap::Parser as _;
use insta::assert_snapshot;
use unicode_width::UnicodeWidthStr as _;
use wiremock::matchers::path;
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::diagnosis::{FunctionCounts, OriginKind, Proof, SettingReport};
use super::*;

/// A network without any host.
struct Nothing;

impl Network for Nothing {
    async fn resolve(&self, _: &str, _: u16) -> io::Result<Vec<IpAddr>> {
        Err(io::Error::from(io::ErrorKind::NotFound))
    }

    fn has_route(&self, _: IpAddr, _: u16) -> bool {
        false
    }
}

/// The diagnosis of a project whose `.env.local` and `migrate.toml` are these.
async fn of_project(env: &str, config: &str, arguments: &[&str]) -> Diagnosis {
    let folder = tempfile::TempDir::new().unwrap();
    std::fs::write(folder.path().join(".env.local"), env).unwrap();
    let path = folder.path().join("migrate.toml");
    std::fs::write(&path, config).unwrap();
    diagnosis_of(&path, arguments).await
}

async fn diagnosis_of(config: &Path, arguments: &[&str]) -> Diagnosis {
    let config = config.to_str().unwrap();
    let given = ["migrate-doctor", "--config", config].into_iter().chain(arguments.iter().copied());
    diagnose(&Arguments::parse_from(given), &Nothing).await
}

fn codes(diagnosis: &Diagnosis) -> Vec<&'static str> {
    diagnosis.findings.iter().map(|finding| finding.code.rule().name).collect()
}

const SECRET: &str = "sb_secret_hunter2hunter2";

fn env(server: &MockServer) -> String {
    let url = server.uri();
    format!("SUPABASE_URL={url}\nSUPABASE_SECRET_KEY={SECRET}\nCONVEX_URL={url}\nCONVEX_DEPLOY_KEY=dev:a|hunter2\n")
}

#[tokio::test]
async fn clocks_that_differ_are_told_of_both_sides() {
    let server = MockServer::start().await;
    // Long ago for any machine that runs this.
    let dated = |text: &str| {
        ResponseTemplate::new(200).insert_header("date", "Wed, 01 Jan 2020 00:00:00 GMT").set_body_string(text)
    };
    Mock::given(path("/rest/v1/")).respond_with(dated(r#"{"info":{"version":"14.5"}}"#)).mount(&server).await;
    Mock::given(path("/version")).respond_with(dated("unknown")).mount(&server).await;
    let diagnosis = of_project(&env(&server), "", &[]).await;
    let skews: Vec<&Finding> = diagnosis.findings.iter().filter(|found| found.code == Code::ClockSkew).collect();
    assert_eq!(skews.len(), 2, "{:?}", diagnosis.findings);
    assert!(skews[0].message.starts_with("the clock of Supabase is "), "{skews:?}");
    assert!(skews[1].message.starts_with("the clock of Convex is ") && skews[1].message.contains(" s behind "));
    assert!(diagnosis.supabase.clock_skew_seconds.unwrap() < -100_000_000);
    assert_eq!((diagnosis.supabase.postgrest.as_deref(), diagnosis.convex.version), (Some("14.5"), None));
}

#[test]
fn half_a_minute_is_no_difference() {
    for (seconds, count) in [(0, 0), (30, 0), (-30, 0), (31, 1), (-31, 1), (i64::MIN, 1)] {
        let mut diagnosis = Diagnosis::new();
        clock_skew(&mut diagnosis, "Convex", seconds);
        assert_eq!(diagnosis.findings.len(), count, "{seconds}");
    }
}

#[tokio::test]
async fn every_check_goes_on_after_one_that_fails() {
    let server = MockServer::start().await;
    let env = format!("{}SUPABASE_DB_URL=postgres://postgres:hunter2@db.abc.supabase.co/postgres\n", env(&server));
    let diagnosis = of_project(&env, "no = 1\n", &[]).await;
    let found = codes(&diagnosis);
    for code in
        ["config_invalid", "database_host_unresolved", "supabase_unreachable", "convex_unreachable", "plan_missing"]
    {
        assert!(found.contains(&code), "{code} is not among {found:?}");
    }
    let invalid = diagnosis.findings.iter().find(|found| found.code == Code::ConfigInvalid).unwrap();
    assert!(invalid.message.contains("migrate.toml:1:1: ") && !invalid.message.contains('\n'), "{invalid:?}");
    let json = serde_json::to_string(&diagnosis).unwrap();
    assert!(!json.contains("hunter2"), "{json}");
}

#[tokio::test]
async fn settings_that_do_not_go_together_are_told() {
    let env = format!(
        "SUPABASE_URL=https://abc.supabase.co\nSUPABASE_SECRET_KEY={SECRET}\n\
         SUPABASE_DB_URL=postgres://postgres:hunter2@db.xyz.supabase.co/postgres\n\
         CONVEX_SELF_HOSTED_URL=ftp://hunter2\nCONVEX_DEPLOY_KEY=prod:happy|hunter2\n"
    );
    let folder = tempfile::TempDir::new().unwrap();
    std::fs::write(folder.path().join(".env"), env).unwrap();
    // Nothing is asked of an address that is refused; the real project is of nobody.
    let config = folder.path().join("migrate.toml");
    let mut diagnosis = Diagnosis::new();
    let (environment, _) = Environment::read_all(folder.path());
    let access = AccessOptions { allow_partial: false, allow_http: false };
    let sides = settings::examine(&mut diagnosis, &environment, &MigrateConfig::default(), None, access);
    assert!(sides.supabase.is_some() && sides.postgres.is_none() && sides.convex.is_none(), "{}", config.display());
    assert_eq!(codes(&diagnosis), ["database_url_refused", "convex_settings_mixed", "convex_settings_refused"]);
    assert!(!serde_json::to_string(&diagnosis).unwrap().contains("hunter2"));
}

#[tokio::test]
async fn a_configuration_that_is_not_there_is_a_finding() {
    let folder = tempfile::TempDir::new().unwrap();
    let diagnosis = diagnosis_of(&folder.path().join("other.toml"), &[]).await;
    assert!(codes(&diagnosis).contains(&"config_invalid"), "{:?}", codes(&diagnosis));
    assert_eq!(diagnosis.settings[0].origin, Some(OriginKind::Flag));
}

/// Findings of every severity, with texts that are wider than a terminal.
fn trouble() -> Diagnosis {
    let file = |name: &str| SettingReport {
        file: Some("./.env.local".to_owned()),
        ..SettingReport::from(name, &Origin::File("./.env.local".into()))
    };
    let mut diagnosis = Diagnosis::new();
    diagnosis.settings = vec![
        SettingReport::unset("--config"),
        file("SUPABASE_URL"),
        SettingReport::from("SUPABASE_SERVICE_ROLE_KEY", &Origin::Environment),
        SettingReport::unset("SUPABASE_DB_URL"),
        SettingReport::from("CONVEX_SELF_HOSTED_ADMIN_KEY", &Origin::Environment),
    ];
    diagnosis.supabase.address = Some("abcdefghijklmnopqrst.supabase.co:443".to_owned());
    diagnosis.supabase.key = Some("a legacy JWT key of the role service_role".to_owned());
    diagnosis.supabase.admin = Some(Proof::Proven);
    diagnosis.supabase.postgrest = Some("14.5".to_owned());
    diagnosis.supabase.clock_skew_seconds = Some(-75);
    diagnosis.supabase.readable_tables = Some(12);
    diagnosis.supabase.unreadable_tables = vec!["internal_audit_log_entries".to_owned()];
    diagnosis.supabase.max_rows = Some(1000);
    diagnosis.supabase.max_rows_is_exact = true;
    diagnosis.convex.address = Some("happy-animal-123.convex.cloud:443".to_owned());
    diagnosis.convex.deployment = Some("production".to_owned());
    diagnosis.convex.functions =
        Some(FunctionCounts { planned: 14, current: 11, present: 0, missing: 2, differing: 1 });
    let table = "table internal_audit_log_entries exists, and cannot be read: count the rows: the key lacks a right";
    let grant = "run: grant select on public.internal_audit_log_entries to service_role;";
    diagnosis.findings.push(Finding::new(Code::TableNotReadable, table).with_remedy(grant));
    clock_skew(&mut diagnosis, "Supabase", -75);
    diagnosis.find(Code::PlanMissing, "plan.json is not there");
    diagnosis
}

fn plain(diagnosis: &Diagnosis, width: Option<usize>) -> String {
    let text = strip_str(&text::text(diagnosis, width)).to_string();
    for line in text.lines() {
        let is_command = line.trim_start().starts_with("grant ");
        assert!(is_command || width.is_none_or(|width| line.width() <= width), "too wide: {line}");
        assert_eq!(line.trim_end(), line, "spaces at the end");
    }
    text
}

#[test]
fn a_diagnosis_fits_into_80_columns_and_a_pipe() {
    assert_snapshot!("doctor_80", plain(&trouble(), Some(80)));
    assert_snapshot!("doctor_pipe", plain(&trouble(), None));
    assert_snapshot!("doctor_nothing_80", plain(&Diagnosis::new(), Some(80)));
    assert_snapshot!("doctor_colours", text::text(&trouble(), Some(80)).replace('\u{1b}', "␛"));
}
