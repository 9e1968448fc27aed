//! Every link of the book and the README leads somewhere, and every page is in the table of contents.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use migrate_tests::project::repository;

use crate::{pages, read, source};

/// Where the checkout is shown. A link to a file that is no page of the book begins with it, for the book is read without
/// the checkout too.
const SHOWN_AT: &str = "https://github.com/supabase-to-convex/supabase-to-convex/blob/main/";

/// The text without fenced blocks and comments.
fn prose(text: &str) -> String {
    let mut inside = false;
    let mut prose = String::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            inside = !inside;
        } else if !inside && !line.starts_with("<!--") {
            prose.push_str(line);
            prose.push('\n');
        }
    }
    prose
}

/// The text without code, in which brackets are no links.
fn without_code(prose: &str) -> String {
    prose.split('`').step_by(2).collect::<Vec<_>>().join("`")
}

/// Targets of the links and images of a page.
fn links(text: &str) -> Vec<String> {
    let text = without_code(&prose(text));
    let after = text.split("](").skip(1);
    after.filter_map(|rest| rest.split_once(')')).map(|(target, _)| target.to_owned()).collect()
}

/// The anchors of a page's headings, as `mdBook` and GitHub make them.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = prose(text);
    let headings = headings.lines().filter(|line| line.starts_with('#'));
    let anchor = |line: &str| {
        let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
        let title: String = line.trim_start_matches('#').trim().to_lowercase().chars().filter(kept).collect();
        title.replace(' ', "-")
    };
    headings.map(anchor).collect()
}

/// The path without `..` and `.`.
fn plain(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut plain, part| {
        match part {
            Component::ParentDir => {
                plain.pop();
            }
            Component::CurDir => {}
            part => plain.push(part),
        }
        plain
    })
}

/// What is wrong with a link; `root` is what the page's readers have.
fn fault(page: &Path, root: &Path, link: &str) -> Option<String> {
    let (target, anchor) = link.split_once('#').map_or((link, None), |(target, anchor)| (target, Some(anchor)));
    let path = if let Some(file) = target.strip_prefix(SHOWN_AT) {
        repository().join(file)
    } else if target.contains("://") {
        return None;
    } else if target.is_empty() {
        page.to_owned()
    } else {
        let path = plain(&page.parent().unwrap().join(target));
        if !path.starts_with(root) {
            return Some("leaves the book: link to where the checkout is shown".to_owned());
        }
        path
    };
    if !path.exists() {
        return Some("leads nowhere".to_owned());
    }
    let is_page = path.extension().is_some_and(|extension| extension == "md");
    match anchor {
        Some(anchor) if is_page && !anchors(&read(&path)).contains(anchor) => Some("has no such heading".to_owned()),
        _ => None,
    }
}

#[test]
fn every_link_leads_somewhere() {
    let mut all: Vec<(PathBuf, PathBuf)> = pages(&source()).into_iter().map(|page| (page, plain(&source()))).collect();
    let others = ["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "benchmarks/README.md", "examples/ari-cms/README.md"];
    all.extend(others.map(|page| (repository().join(page), plain(&repository()))));
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for (page, root) in all {
        let page = plain(&page);
        for link in links(&read(&page)) {
            seen += 1;
            wrong.extend(fault(&page, &root, &link).map(|why| format!("{}: {link} {why}", page.display())));
        }
    }
    assert!(seen > 50, "{seen} links were found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_page_is_in_the_table_of_contents() {
    let summary = source().join("SUMMARY.md");
    let listed: Vec<String> = links(&read(&summary));
    let unique: BTreeSet<PathBuf> = listed.iter().map(|link| plain(&source().join(link))).collect();
    assert_eq!(unique.len(), listed.len(), "a page stands twice");
    let there: BTreeSet<PathBuf> =
        pages(&source()).into_iter().map(|page| plain(&page)).filter(|page| *page != plain(&summary)).collect();
    let lost: Vec<_> = there.symmetric_difference(&unique).collect();
    assert!(lost.is_empty(), "in one and not in the other: {lost:?}");
}

#[test]
fn a_link_to_nowhere_is_found() {
    let (root, page) = (plain(&source()), plain(&source().join("how-to/rejects.md")));
    assert_eq!(links("a [b](c.md) `[d](e.md)`\n```\n[f](g.md)\n```\n![h](i.png#j)"), ["c.md", "i.png#j"]);
    for wrong in ["nowhere.md", "../tutorial.md#nowhere", "../../../README.md"] {
        assert!(fault(&page, &root, wrong).is_some(), "{wrong}");
    }
    assert_eq!(fault(&page, &root, "../tutorial.md"), None);
}
