//! The real TypeScript compiler, as `npx convex deploy` runs it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

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
  "include": ["convex/**/*"],
  "exclude": ["convex/_generated"]
}
"#;

/// Runs `tsc --noEmit --strict` on `<project>/convex` against the real `convex` package. It works on a copy with fresh
/// `_generated` files, so the project is not written to.
///
/// # Errors
/// What the compiler printed, with paths relative to the project; or why it could not be run.
pub fn type_check(project: &Path) -> Result<(), String> {
    match run(project) {
        Ok((true, _)) => Ok(()),
        Ok((false, output)) => Err(output),
        Err(error) => Err(error.to_string()),
    }
}

/// Whether the project is sound, and what the compiler printed.
fn run(project: &Path) -> Result<(bool, String)> {
    if !project.join("convex").is_dir() {
        return Err(Error::new(format!("{} has no folder `convex`", project.display())));
    }
    let packages = ensure_npm_packages()?.join("node_modules");
    let copy = tempfile::Builder::new().prefix("local-stack-tsc-").tempdir().context("create a temporary folder")?;
    copy_folder(&project.join("convex"), &copy.path().join("convex"))?;
    write_generated(copy.path())?;
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
