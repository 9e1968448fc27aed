//! Ctrl-C and SIGTERM: what was compared is kept, and the same command goes on.

use std::fs;
use std::process::{Command, Output, Stdio};

use migrate_tests::fault_plan::FaultPlan;
use migrate_tests::fault_proxy::FaultProxy;
use migrate_tests::local_stack::GatewayRequest;
use migrate_tests::project::Project;
use serde_json::{Value, json};

use super::{folder, project_run, run, verify};

pub(crate) const INTERRUPTED: i32 = 5;

const SCHEMA: &str = "
create table owners (id integer primary key, name text not null);
create table pets (id integer primary key, owner_id integer not null references owners, name text not null);
insert into owners select n, 'Owner ' || n from generate_series(1, 30) as n;
insert into pets select n, 1 + n % 30, 'Pet ' || n from generate_series(1, 200) as n;
";

/// Whether rows of a table were asked for, not only their number.
fn reads(table: &str) -> impl Fn(&GatewayRequest) -> bool {
    let prefix = format!("/rest/v1/{table}?");
    move |request| {
        request.method == "GET"
            && request.path_and_query.starts_with(&prefix)
            && request.path_and_query.contains("order=")
    }
}

/// Verifies, and counts the requests for pets before their rows, which come after those of owners: these are of a level
/// before.
pub(crate) async fn requests_before_pets(project: &Project) -> usize {
    let gateway = project.supabase.gateway();
    drop(gateway.take_requests());
    verify(project, &[], 0).await;
    let requests = gateway.take_requests();
    let first =
        |table: &str| requests.iter().position(reads(table)).unwrap_or_else(|| panic!("{table}: {requests:#?}"));
    assert!(first("owners") < first("pets"), "{requests:#?}");
    let of_pets = |request: &&GatewayRequest| request.path_and_query.starts_with("/rest/v1/pets");
    requests[..first("pets")].iter().filter(of_pets).count()
}

/// Signals the program once it makes a request of this prefix, after so many that are let through.
pub(crate) async fn interrupt(
    project: &Project,
    mut command: Command,
    signal: &str,
    (prefix, skip): (&str, usize),
) -> Output {
    let proxy = FaultProxy::start(project.supabase.url(), FaultPlan::default()).await.unwrap();
    let mut held = proxy.hold(prefix, skip);
    command.env("SUPABASE_URL", proxy.url()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    let id = child.id().to_string();
    let mut ended = tokio::task::spawn_blocking(move || child.wait_with_output().unwrap());
    tokio::select! {
        reached = held.reached() => reached.unwrap(),
        ended = &mut ended => panic!("it ended before: {ended:?}"),
    }
    assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
    ended.await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_verification_goes_on_with_the_tables_that_it_had_not_compared() {
    let folder = folder();
    let mut project = Project::with_tables(folder.path(), vec![SCHEMA.to_owned()], "").await.unwrap();
    run(&project, "migrate-discover", &[], 0).await;
    run(&project, "migrate-plan", &["--write"], 0).await;
    project.deploy().await.unwrap();
    run(&project, "migrate-run", &["--quiet"], 0).await;
    let before = requests_before_pets(&project).await;
    let gateway = project.supabase.gateway();
    for signal in ["-INT", "-TERM"] {
        let command = project.program("migrate-verify", &["--json", "--quiet"]);
        let ended = interrupt(&project, command, signal, ("/rest/v1/pets", before)).await;
        let said = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(INTERRUPTED), "{signal}: {said}");
        assert!(said.contains("the same command goes on"), "{signal}: {said}");
        let printed: Value = serde_json::from_slice(&ended.stdout).unwrap();
        let run = project_run(folder.path());
        let kept: Value = serde_json::from_str(&fs::read_to_string(run.join("verify.json")).unwrap()).unwrap();
        assert_eq!(printed, kept);
        assert_eq!((&kept["verdict"], &kept["resumed"]), (&json!("interrupted"), &json!(false)), "{signal}: {kept:#}");
        let compared = |table: &str| kept["tables"][table]["is_compared"].clone();
        assert_eq!((compared("owners"), compared("pets")), (json!(true), json!(false)), "{signal}: {kept:#}");
        assert_eq!(kept["tables"]["owners"]["same"], json!(30));
        drop(gateway.take_requests());
        let verification = verify(&project, &[], 0).await;
        assert_eq!((&verification["verdict"], &verification["resumed"]), (&json!("same"), &json!(true)));
        assert_eq!(verification["tables"]["owners"], kept["tables"]["owners"]);
        assert_eq!(verification["tables"]["pets"]["same"], json!(200));
        let requests = gateway.take_requests();
        assert!(requests.iter().any(reads("pets")), "{requests:?}");
        assert!(!requests.iter().any(reads("owners")), "owners are compared already: {requests:?}");
    }
    assert_eq!(verify(&project, &[], 0).await["resumed"], json!(false), "the next one begins anew");
}
