//! The real TypeScript compiler, as `npx convex deploy` runs it, and prettier.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, io};

use super::account::copy_folder;
use super::error::{Context, Error, Result};
use super::generated::write_generated;
use super::npm::{ensure_npm_packages, node};

/// The options that `npx convex dev` writes into a new project's `convex/tsconfig.json`.
const TSCONFIG: &str = r#"{
  "compilerOptions": {
    "allowJs": true,
    "strict": true,
    "moduleResolution": "Bundler",
    "jsx": "react-jsx",
    "skipLibCheck": true,
    "allowSyntheticDefaultImports": true,
    "target": "ESNext",
    "lib": ["ES2023", "dom"],
    "forceConsistentCasingInFileNames": true,
    "module": "ESNext",
    "isolatedModules": true,
    "noEmit": true
  },
  "include": ["**/convex/**/*"],
  "exclude": ["**/convex/_generated", "node_modules"]
}
"#;

/// Runs `tsc --noEmit --strict` on `<project>/convex` against the real `convex` package. It works on a copy with fresh
/// `_generated` files, so the project is not written to.
///
/// # Errors
/// What the compiler printed, with paths relative to the project; or why it could not be run.
pub fn type_check(project: &Path) -> Result<(), String> {
    said(run(project, &[Path::new("")]))
}

/// [`type_check`] of every folder in `folder`, which are projects all, in one run of the compiler.
///
/// # Errors
/// What the compiler printed, with paths relative to `folder`; or why it could not be run.
pub fn type_check_all(folder: &Path) -> Result<(), String> {
    let projects: io::Result<Vec<PathBuf>> =
        fs::read_dir(folder).and_then(|entries| entries.map(|entry| Ok(entry?.file_name().into())).collect());
    let projects = projects.map_err(|error| format!("failed to list {}: {error}", folder.display()))?;
    said(run(folder, &projects))
}

fn said(checked: Result<(bool, String)>) -> Result<(), String> {
    match checked {
        Ok((true, _)) => Ok(()),
        Ok((false, output)) => Err(output),
        Err(error) => Err(error.to_string()),
    }
}

/// Runs `prettier --check` at 100 columns on the TypeScript below a folder, except `_generated`. Prettier comes with the
/// `convex` package.
///
/// # Errors
/// The files that prettier would lay out otherwise; or why it could not be run.
pub fn is_formatted(folder: &Path) -> Result<(), String> {
    match unformatted(folder) {
        Ok(files) if files.is_empty() => Ok(()),
        Ok(files) => Err(files),
        Err(error) => Err(error.to_string()),
    }
}

/// What prettier says of files that it would lay out otherwise.
fn unformatted(folder: &Path) -> Result<String> {
    let prettier = ensure_npm_packages()?.join("node_modules/prettier/bin/prettier.cjs");
    let output = Command::new(node()?)
        .arg(prettier)
        .args(["--check", "--no-config", "--no-editorconfig", "--print-width", "100"])
        .args(["--ignore-path", "/dev/null", "**/*.ts", "!**/_generated/**"])
        .current_dir(folder)
        .output()
        .context("run prettier")?;
    if output.status.success() {
        return Ok(String::new());
    }
    let text = [output.stdout, output.stderr].concat();
    Ok(String::from_utf8_lossy(&text).trim().to_owned())
}

/// Whether the projects below a folder are sound, and what the compiler printed.
fn run<P: AsRef<Path>>(folder: &Path, projects: &[P]) -> Result<(bool, String)> {
    let packages = ensure_npm_packages()?.join("node_modules");
    let copy = tempfile::Builder::new().prefix("local-stack-tsc-").tempdir().context("create a temporary folder")?;
    for project in projects {
        let (from, to) = (folder.join(project), copy.path().join(project));
        if !from.join("convex").is_dir() {
            return Err(Error::new(format!("{} has no folder `convex`", from.display())));
        }
        fs::create_dir_all(&to).context(format_args!("create {}", to.display()))?;
        copy_folder(&from.join("convex"), &to.join("convex"))?;
        write_generated(&to)?;
    }
    fs::write(copy.path().join("tsconfig.json"), TSCONFIG).context("write tsconfig.json")?;
    symlink(&packages, copy.path().join("node_modules")).context("link node_modules")?;
    let output = Command::new(node()?)
        .arg(packages.join("typescript/lib/tsc.js"))
        .args(["--project", "tsconfig.json", "--pretty", "false"])
        .current_dir(copy.path())
        .output()
        .context("run tsc")?;
    let text = [output.stdout, output.stderr].concat();
    Ok((output.status.success(), String::from_utf8_lossy(&text).trim().to_owned()))
}
