//! The rules of `ARCHITECTURE.md` that manifests and sources show: who depends on whom, and under which lints.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, PackageId};
use toml::{Table, Value};

/// Our crates that each of our crates may name, as the table "Crates" of `ARCHITECTURE.md` says.
const LAYERS: &[(&str, &[&str])] = &[
    ("migrate-core", &[]),
    ("supabase-source", &["migrate-core"]),
    ("convex-sink", &["migrate-core"]),
    ("migrate-cli", &["migrate-core", "supabase-source", "convex-sink"]),
    (TESTS, &["migrate-core", "supabase-source", "convex-sink", "migrate-cli"]),
];

/// The crate that is not shipped.
const TESTS: &str = "migrate-tests";

/// Crates that speak HTTP, TLS or a database's protocol. `httpdate` only reads dates and is none.
const NETWORK: &str = "actix-web attohttpc awc axum curl h2 h3 http hyper isahc native-tls openssl postgrest quinn \
                       reqwest rustls surf tokio-postgres tokio-rustls tower-http tungstenite ureq wiremock";

/// TLS that is not rustls. None is in the tree on any platform: not even through `postgrest`, whose own `reqwest` 0.11
/// has rustls as well.
const OTHER_TLS: &str =
    "boring boring-sys hyper-tls native-tls openssl openssl-sys s2n-tls tokio-native-tls tokio-openssl";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The workspace as it is built here, without what other platforms would add.
fn metadata() -> Metadata {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new("rustc").arg("-vV").output().unwrap();
    let version = String::from_utf8(output.stdout).unwrap();
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    let mut command = MetadataCommand::new();
    command.cargo_path(cargo).manifest_path(root().join("Cargo.toml"));
    command.other_options(["--filter-platform".to_owned(), host.to_owned()]).exec().unwrap()
}

/// Our crates that each of ours names in its manifest, as a dependency of any kind.
fn named(metadata: &Metadata) -> BTreeMap<String, BTreeSet<String>> {
    let members = metadata.workspace_packages();
    let ours: BTreeSet<&str> = members.iter().map(|package| package.name.as_str()).collect();
    let of = |dependencies: &[cargo_metadata::Dependency], own: &str| {
        let names = dependencies.iter().map(|dependency| dependency.name.as_str());
        // A crate names itself to have a feature of its own in its tests.
        names.filter(|name| ours.contains(name) && *name != own).map(str::to_owned).collect()
    };
    members.iter().map(|package| (package.name.to_string(), of(&package.dependencies, package.name.as_str()))).collect()
}

/// All packages that `name` is built of, itself excepted: what its tests need is left out.
fn built_of(metadata: &Metadata, name: &str) -> BTreeSet<String> {
    let nodes = &metadata.resolve.as_ref().unwrap().nodes;
    let package_name = |id: &PackageId| metadata[id].name.to_string();
    let own = metadata.workspace_packages().into_iter().find(|package| package.name.as_str() == name).unwrap();
    let (mut found, mut open) = (BTreeSet::new(), vec![&own.id]);
    while let Some(id) = open.pop() {
        let node = nodes.iter().find(|node| node.id == *id).unwrap();
        for dependency in &node.deps {
            let is_built = dependency.dep_kinds.iter().any(|kind| kind.kind != DependencyKind::Development);
            if is_built && found.insert(package_name(&dependency.pkg)) {
                open.push(&dependency.pkg);
            }
        }
    }
    found
}

fn manifest(path: impl AsRef<Path>) -> Table {
    let path = path.as_ref();
    fs::read_to_string(path).unwrap().parse().unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The manifests of our crates by name.
fn manifests(metadata: &Metadata) -> BTreeMap<String, Table> {
    let packages = metadata.workspace_packages();
    packages.iter().map(|package| (package.name.to_string(), manifest(&package.manifest_path))).collect()
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

#[test]
fn crates_depend_in_one_direction() {
    let mut wrong = Vec::new();
    let named = named(&metadata());
    for (name, dependencies) in &named {
        let Some((_, allowed)) = LAYERS.iter().find(|(layer, _)| layer == name) else {
            wrong.push(format!("{name} is in no layer: give it one in ARCHITECTURE.md and here"));
            continue;
        };
        let outward = dependencies.iter().filter(|dependency| !allowed.contains(&dependency.as_str()));
        wrong.extend(outward.map(|dependency| format!("{name} may not depend on {dependency}")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let missing: Vec<_> = LAYERS.iter().filter(|(name, _)| !named.contains_key(*name)).collect();
    assert!(missing.is_empty(), "no longer in the workspace: {missing:?}");
}

#[test]
fn only_the_commands_name_both_adapters() {
    let both = |dependencies: &BTreeSet<String>| {
        ["supabase-source", "convex-sink"].iter().all(|adapter| dependencies.contains(*adapter))
    };
    let named = named(&metadata());
    let composing: Vec<_> = named.iter().filter(|(_, names)| both(names)).map(|(name, _)| name.as_str()).collect();
    assert_eq!(composing, ["migrate-cli", TESTS]);
}

#[test]
fn core_is_built_without_a_network() {
    let built = built_of(&metadata(), "migrate-core");
    assert!(built.contains("tokio"), "the search finds dependencies: {built:?}");
    let network: Vec<_> = NETWORK.split(' ').filter(|name| built.contains(*name)).collect();
    assert!(network.is_empty(), "migrate-core is built of {network:?}");
}

#[test]
fn one_file_knows_postgrest() {
    let metadata = metadata();
    let members = metadata.workspace_packages();
    let depend = members.iter().filter(|package| package.dependencies.iter().any(|other| other.name == "postgrest"));
    let depend: Vec<_> = depend.map(|package| package.name.as_str()).collect();
    assert_eq!(depend, ["supabase-source"]);

    let crates = root().join("crates");
    let names_it = |path: &PathBuf| {
        let text = fs::read_to_string(path).unwrap();
        // Comments may speak of it, and of the server of the same name.
        text.lines().any(|line| !line.trim_start().starts_with("//") && line.contains("postgrest::"))
    };
    let files: Vec<_> = sources(&crates).into_iter().filter(names_it).collect();
    let files: Vec<_> = files.iter().map(|path| path.strip_prefix(&crates).unwrap()).collect();
    assert_eq!(files, [Path::new("supabase-source/src/client.rs")]);
}

#[test]
fn tls_is_rustls_on_every_platform() {
    let lock = manifest(root().join("Cargo.lock"));
    let packages = lock["package"].as_array().unwrap();
    let names: BTreeSet<_> = packages.iter().filter_map(|package| package["name"].as_str()).collect();
    assert!(names.contains("rustls"), "the lock file is read");
    let other: Vec<_> = OTHER_TLS.split(' ').filter(|name| names.contains(name)).collect();
    assert!(other.is_empty(), "Cargo.lock has {other:?}");
}

#[test]
fn shipped_crates_share_the_workspaces_facts() {
    let mut wrong = Vec::new();
    for (name, manifest) in manifests(&metadata()) {
        let is_shipped = name != TESTS;
        let shared = ["version", "edition", "rust-version", "license"].into_iter();
        let shared = shared.chain(["repository", "keywords", "categories"].into_iter().filter(|_| is_shipped));
        for key in shared {
            let inherited = manifest["package"].get(key).and_then(|value| value.get("workspace")?.as_bool());
            if inherited != Some(true) {
                wrong.push(format!("{name}: {key}.workspace = true is missing"));
            }
        }
        let may_publish = manifest["package"].get("publish").and_then(Value::as_bool) != Some(false);
        if may_publish != is_shipped {
            wrong.push(format!("{name}: only {TESTS} says publish = false"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));

    let package = &manifest(root().join("Cargo.toml"))["workspace"]["package"];
    assert_eq!(package["license"].as_str(), Some("MIT OR Apache-2.0"));
    for (file, beginning) in [("LICENSE-MIT", "MIT License"), ("LICENSE-APACHE", "Apache License")] {
        let text = fs::read_to_string(root().join(file)).unwrap();
        assert!(text.trim_start().starts_with(beginning), "{file} is another licence");
    }
}

/// Cargo lets a crate take the workspace's lints whole or not at all. Tests unwrap and print, so theirs are their own.
#[test]
fn every_crate_is_under_the_workspaces_lints() {
    let workspace = manifest(root().join("Cargo.toml"));
    let lints = &workspace["workspace"]["lints"];
    assert_eq!(level(&lints["rust"]["unsafe_code"]), "forbid");
    for (name, manifest) in manifests(&metadata()) {
        let own = &manifest["lints"];
        if name != TESTS {
            assert_eq!(own.get("workspace").and_then(Value::as_bool), Some(true), "{name} has lints of its own");
            continue;
        }
        assert_eq!(level(&own["rust"]["unsafe_code"]), "forbid");
        for group in ["rust", "clippy"] {
            for (lint, value) in own[group].as_table().unwrap() {
                let shared = lints[group].get(lint);
                assert!(
                    shared.is_none_or(|shared| level(shared) == level(value)),
                    "{name} has {lint} at another level than the workspace"
                );
            }
        }
    }
}

fn level(lint: &Value) -> &str {
    lint.as_str().or_else(|| lint.get("level")?.as_str()).unwrap()
}
