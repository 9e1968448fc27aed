//! What `migrate-discover` prints, and to where.

#![expect(clippy::unwrap_used, reason = "a helper that cannot go on fails its test")]

use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};
use tempfile::TempDir;
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

/// A project with one empty table.
async fn project() -> MockServer {
    let server = MockServer::start().await;
    let id = json!({ "format": "integer", "type": "integer", "description": "Note:\nThis is a Primary Key.<pk/>" });
    let notes = json!({ "required": ["id"], "properties": { "id": id } });
    let document = json!({ "swagger": "2.0", "info": { "version": "12.0.2" }, "definitions": { "notes": notes } });
    let document = ResponseTemplate::new(200).set_body_raw(document.to_string(), "application/openapi+json");
    Mock::given(path("/rest/v1/")).respond_with(document).mount(&server).await;
    let count = ResponseTemplate::new(200).insert_header("content-range", "*/0");
    Mock::given(method("HEAD")).and(path("/rest/v1/notes")).respond_with(count).mount(&server).await;
    let nothing = ResponseTemplate::new(200).set_body_json(json!([]));
    Mock::given(method("GET")).and(path("/rest/v1/notes")).respond_with(nothing).mount(&server).await;
    server
}

async fn discover(server: &MockServer, folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_migrate-discover"));
    command.current_dir(folder).args(arguments).env_remove("CLICOLOR_FORCE");
    command.env("SUPABASE_URL", server.uri()).env("SUPABASE_SECRET_KEY", "sb_secret_0123456789abcdefghijkl_01234567");
    tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap()
}

/// What it prints to stdout and stderr, once it ended well and wrote the catalog.
async fn printed(server: &MockServer, arguments: &[&str]) -> (String, String) {
    let folder = TempDir::new().unwrap();
    let output = discover(server, folder.path(), arguments).await;
    let (stdout, stderr) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(output.status.success(), "{arguments:?}: {stderr}");
    let catalog = std::fs::read_to_string(folder.path().join("catalog.json")).unwrap();
    let catalog: Value = serde_json::from_str(&catalog).unwrap();
    assert_eq!(catalog["tables"][0]["name"], "notes");
    (stdout, stderr)
}

#[tokio::test]
async fn quiet_means_errors_only() {
    let server = project().await;
    let (stdout, stderr) = printed(&server, &[]).await;
    assert!(stdout.contains("  notes: 0 rows"), "{stdout}");
    assert_eq!(stderr, "wrote ./catalog.json\n");

    assert_eq!(printed(&server, &["--quiet"]).await, (String::new(), String::new()));

    let (stdout, stderr) = printed(&server, &["--quiet", "--json"]).await;
    assert_eq!(serde_json::from_str::<Value>(&stdout).unwrap()["tables"][0]["name"], "notes");
    assert_eq!(stderr, "");

    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("migrate.toml"), "unknown = 1\n").unwrap();
    let output = discover(&server, folder.path(), &["--quiet"]).await;
    assert_eq!(output.status.code(), Some(4));
    assert!(String::from_utf8(output.stderr).unwrap().starts_with("error: migrate.toml:1:1: "));
}

#[tokio::test]
async fn colours_are_for_terminals_and_for_those_who_ask() {
    let server = project().await;
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("migrate.toml"), "unknown = 1\n").unwrap();
    for (arguments, is_coloured) in [(&[][..], false), (&["--color", "never"], false), (&["--color", "always"], true)] {
        let output = discover(&server, folder.path(), arguments).await;
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(stderr.contains('\u{1b}'), is_coloured, "{arguments:?}: {stderr:?}");
    }
}
