//! The book in `docs`: what is generated is that of the code, what is shown works, and what is linked is there.
//!
//! `UPDATE_DOCS=1 cargo test -p migrate-tests --test book generated` writes the generated pages anew;
//! `PAGE=rejects cargo test -p migrate-tests --test book tutorial` walks through one page only.

mod blocks;
mod embedding;
mod generated;
mod links;
mod schema_page;
mod walkthrough;

use std::fs;
use std::path::{Path, PathBuf};

use migrate_tests::project::repository;

/// The folder of the book's pages.
fn source() -> PathBuf {
    repository().join("docs/src")
}

fn read(path: impl AsRef<Path>) -> String {
    let path = path.as_ref();
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All pages below a folder, in their order by name.
fn pages(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(pages(&path));
        } else if path.extension().is_some_and(|extension| extension == "md") {
            found.push(path);
        }
    }
    found.sort();
    found
}
