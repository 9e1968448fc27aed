//! What a registry wants of each crate and of the npm package, and that they are of one version.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use cargo_metadata::{Metadata, MetadataCommand, Package};
use migrate_tests::project::repository;
use serde_json::Value;

fn metadata() -> Metadata {
    let mut command = MetadataCommand::new();
    command.manifest_path(repository().join("Cargo.toml")).no_deps().exec().unwrap()
}

fn is_shipped(package: &Package) -> bool {
    package.publish.as_ref().is_none_or(|registries| !registries.is_empty())
}

fn json(path: impl AsRef<Path>) -> Value {
    serde_json::from_str(&fs::read_to_string(repository().join(path)).unwrap()).unwrap()
}

#[test]
fn every_crate_says_what_a_registry_asks() {
    let metadata = metadata();
    let shipped: Vec<&Package> =
        metadata.workspace_packages().into_iter().filter(|package| is_shipped(package)).collect();
    let mut wrong = Vec::new();
    for package in &shipped {
        let name = package.name.as_str();
        let folder = package.manifest_path.parent().unwrap();
        let mut wants = |is_there: bool, what: &str| {
            if !is_there {
                wrong.push(format!("{name}: {what}"));
            }
        };
        wants(package.description.as_ref().is_some_and(|text| text.len() > 20), "a description");
        wants(package.license.as_deref() == Some("MIT OR Apache-2.0"), "the licence");
        wants(package.repository.is_some(), "the repository");
        wants(package.rust_version.is_some(), "the Rust version");
        wants(
            package.documentation.as_deref() == Some(&format!("https://docs.rs/{name}")),
            "where its documentation is",
        );
        wants((1..=5).contains(&package.keywords.len()), "one to five keywords");
        wants(package.keywords.iter().all(|word| word.len() <= 20), "keywords of 20 characters at most");
        wants(!package.categories.is_empty(), "categories");
        let readme = package.readme.as_ref().and_then(|readme| fs::read_to_string(folder.join(readme)).ok());
        wants(readme.is_some_and(|text| text.starts_with(&format!("# {name}\n"))), "a README with its name");
        for file in ["LICENSE-MIT", "LICENSE-APACHE"] {
            wants(
                fs::read(folder.join(file)).ok() == fs::read(repository().join(file)).ok(),
                "the text of its licences",
            );
        }
        // A registry knows no paths.
        let ours: BTreeSet<&str> = shipped.iter().map(|package| package.name.as_str()).collect();
        for dependency in &package.dependencies {
            let is_built = dependency.kind != cargo_metadata::DependencyKind::Development;
            if is_built && ours.contains(dependency.name.as_str()) {
                wants(dependency.req.to_string() != "*", "versions of its own workspace's crates");
            }
        }
    }
    assert_eq!(shipped.len(), 4, "the crates that are shipped");
    assert!(wrong.is_empty(), "there is no\n  {}", wrong.join("\n  "));
}

#[test]
fn the_npm_package_is_of_the_same_version() {
    let metadata = metadata();
    let version =
        metadata.workspace_packages().into_iter().find(|package| is_shipped(package)).unwrap().version.to_string();
    let package = json("npm/package.json");
    assert_eq!(package["version"], version);
    let platforms = json("npm/platforms.json");
    let named: BTreeSet<String> = package["optionalDependencies"].as_object().unwrap().keys().cloned().collect();
    let built: BTreeSet<String> =
        platforms.as_array().unwrap().iter().map(|platform| platform["package"].as_str().unwrap().to_owned()).collect();
    assert_eq!(named, built);
    for (name, wanted) in package["optionalDependencies"].as_object().unwrap() {
        assert_eq!(*wanted, version, "{name}");
    }
    // The release builds what the package asks for.
    let workflow = fs::read_to_string(repository().join(".github/workflows/release.yml")).unwrap();
    for platform in platforms.as_array().unwrap() {
        let target = platform["target"].as_str().unwrap();
        assert!(workflow.contains(&format!("target: {target}\n")), "{target}");
    }
}

#[test]
fn the_npm_package_passes_its_own_tests() {
    let output = Command::new("node").args(["--test", "test/"]).current_dir(repository().join("npm")).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("pass ") && !said.contains("pass 0"), "tests were run:\n{said}");
}
