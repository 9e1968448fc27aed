//! The report's page as a real browser shows it.

mod reports;
mod verifications;

use std::collections::BTreeSet;
use std::path::Path;

use migrate_core::report::Report;
use migrate_core::verify::Verification;
use migrate_tests::browser::{Browser, Medium, View};
use serde_json::Value;
use tempfile::TempDir;

const VIEWS: [View; 6] = [
    View { width: 400, medium: Medium::Light },
    View { width: 400, medium: Medium::Dark },
    View { width: 1400, medium: Medium::Light },
    View { width: 1400, medium: Medium::Dark },
    View { width: 800, medium: Medium::Light },
    View { width: PAPER, medium: Medium::Print },
];

/// An A4 page between its margins, in CSS pixels.
const PAPER: u32 = 700;

const SECTIONS: [&str; 10] = [
    "summary",
    "tables",
    "verification",
    "references",
    "rejects",
    "lossy",
    "absent",
    "timing",
    "left-behind",
    "settings",
];

fn page(report: &Report) -> String {
    let text = serde_json::to_string(report).unwrap();
    let [.., page] = migrate_cli::testing::show_report(&text, None).unwrap();
    page
}

fn verified_page(report: &Report, verification: &Verification) -> String {
    let (report, verification) = (serde_json::to_string(report).unwrap(), serde_json::to_string(verification).unwrap());
    let [.., page] = migrate_cli::testing::show_verified(&report, &verification, None).unwrap();
    page
}

fn written(folder: &TempDir, name: &str, page: &str) -> std::path::PathBuf {
    let file = folder.path().join(name);
    std::fs::write(&file, page).unwrap();
    file
}

/// The texts of all elements that a selector finds.
async fn texts(browser: &mut Browser, selector: &str) -> Vec<String> {
    let expression = format!("[...document.querySelectorAll({selector:?})].map(one => one.textContent)");
    let found = browser.evaluate(&expression).await.unwrap();
    found.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

async fn look(browser: &mut Browser, file: &Path, name: &str) {
    for view in VIEWS {
        browser.open(file, view).await.unwrap();
        let audit = browser.audit().await.unwrap();
        assert_eq!(audit.faults(), Vec::<&String>::new(), "{name}, {view:?}");
        assert!(audit.texts > 50, "{name}, {view:?}: {} texts were looked at", audit.texts);
        assert_eq!(browser.complaints(), Vec::<String>::new(), "{name}, {view:?}");
        let own = format!("file://{}", file.canonicalize().unwrap().display());
        let foreign: Vec<String> =
            browser.requests().into_iter().filter(|address| *address != own && address != "data:,").collect();
        assert_eq!(foreign, Vec::<String>::new(), "{name}, {view:?}");
        let ids =
            browser.evaluate("[...document.querySelectorAll('main > section')].map(one => one.id)").await.unwrap();
        assert_eq!(ids, serde_json::json!(SECTIONS), "{name}, {view:?}");
    }
}

#[tokio::test]
async fn every_section_is_there_and_can_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let mut browser = Browser::start().await.unwrap();
    for (name, report) in reports::all() {
        let file = written(&folder, &format!("{name}.html"), &page(&report));
        look(&mut browser, &file, name).await;
    }
    for (name, report, verification) in verifications::all() {
        let file = written(&folder, &format!("{name}.html"), &verified_page(&report, &verification));
        look(&mut browser, &file, name).await;
    }
}

#[tokio::test]
async fn the_page_says_what_was_verified() {
    let folder = tempfile::tempdir().unwrap();
    let mut browser = Browser::start().await.unwrap();
    let wide = View { width: 1400, medium: Medium::Light };
    let (report, verification) = (reports::full(), verifications::different());
    let file = written(&folder, "different.html", &verified_page(&report, &verification));
    browser.open(&file, wide).await.unwrap();
    let heads = texts(&mut browser, "#verification .card + .scroll thead th").await;
    assert_eq!(
        heads,
        ["Table", "State", "Rows", "Rejected", "Skipped", "Documents", "Same", "Differ", "Missing", "Double"]
    );
    let rows = texts(&mut browser, "#verification .card + .scroll tbody tr").await;
    assert_eq!(rows.len(), verification.tables.len());
    assert!(rows.iter().any(|row| row == "peoplediffers52,0001,2079350,70150,6802011"), "{rows:?}");
    assert!(rows.iter().any(|row| row == "order_linesnot yet––––––––"), "{rows:?}");
    let found = texts(&mut browser, "#verification h3 + .scroll tbody tr").await;
    let shown = |field: &str, expected: &str, found: &str| format!("valuekey 1{field}{expected}{found}");
    assert!(found.contains(&shown("meta.tags[2]", "a string", "another string")), "{found:?}");
    let all: usize = verification.tables.values().map(|table| table.differences.len()).sum();
    assert_eq!(found.len(), all);
    let kinds = texts(&mut browser, "#verification dl dt").await;
    assert_eq!(kinds, ["missing", "duplicate", "value", "wrong_reference"]);
    let whole = browser.evaluate("document.body.textContent").await.unwrap();
    assert!(!whole.as_str().unwrap().contains(verifications::SECRET), "a value is on the page");
    assert_eq!(texts(&mut browser, "nav a[href='#verification'] .note").await, ["22"]);
    // What it does not prove is said: another plan, or another state than the report's.
    let notes = |verification: &Verification| {
        let page = verified_page(&reports::clean(), verification);
        let told = ["of another plan", "began before the run had ended", "tables are not in it"];
        told.map(|told| page.contains(told))
    };
    let (same, different) = (verifications::same(), verifications::different());
    assert_eq!(notes(&same), [false, false, false]);
    assert_eq!(notes(&Verification { plan_fingerprint: "another".to_owned(), ..same.clone() }), [true, false, false]);
    let earlier = "2026-01-01T12:00:00.200Z".to_owned();
    assert_eq!(notes(&Verification { timestamp: earlier, ..same.clone() }), [false, true, false]);
    assert_eq!(notes(&Verification { tables: different.tables, ..same }), [false, false, true]);
}

#[tokio::test]
async fn two_runs_compared_can_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let mut browser = Browser::start().await.unwrap();
    let page = migrate_cli::testing::diff_page(&reports::full(), &reports::hostile());
    let file = written(&folder, "diff.html", &page);
    for view in VIEWS {
        browser.open(&file, view).await.unwrap();
        assert_eq!(browser.audit().await.unwrap().faults(), Vec::<&String>::new(), "{view:?}");
        assert_eq!(browser.complaints(), Vec::<String>::new(), "{view:?}");
    }
    let tables = texts(&mut browser, "#tables tbody th bdi").await;
    let names = reports::hostile().tables.into_keys().chain(reports::full().tables.into_keys());
    assert_eq!(tables, names.map(|name| reports::visible(&name)).collect::<Vec<_>>());
}

#[tokio::test]
async fn the_audit_finds_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let mut browser = Browser::start().await.unwrap();
    let page = page(&reports::full());
    // What each change breaks, and the part of the audit that must tell of it.
    let worse = [
        ("<footer>", "<svg width=\"2000\" height=\"5\"></svg><footer>", "wide"),
        ("<h2 id=\"rejects-title\">Rejected rows</h2>", "<h2 id=\"rejects-title\"></h2>", "lost"),
        ("href=\"#lossy\"", "href=\"#loss\"", "lost"),
        ("<main ", "<img src=\"data:,\"><main ", "foreign"),
        ("--muted: #565c64", "--muted: #a0a0a0", "faint"),
        ("--notice: #7d4e00", "--notice: #e0b060", "faint"),
    ];
    for (from, to, part) in worse {
        assert!(page.contains(from), "{from}");
        // The policy knows the style by its hash: without it, a changed one counts.
        let changed = page.replace(from, to).replace("style-src 'sha256-", "style-src 'unsafe-inline' 'no-");
        let file = written(&folder, "worse.html", &changed);
        browser.open(&file, View { width: 1400, medium: Medium::Light }).await.unwrap();
        let audit = browser.audit().await.unwrap();
        let found = match part {
            "wide" => &audit.wide,
            "lost" => &audit.lost,
            "foreign" => &audit.foreign,
            _ => &audit.faint,
        };
        assert!(!found.is_empty(), "{from}: {audit:?}");
    }
    // And the policy holds: a style that is not the kit's does not count, and a script does not run.
    let hostile =
        page.replace("<main ", "<script>document.title = 'changed'</script><style>h1 { width: 9999px }</style><main ");
    let file = written(&folder, "hostile.html", &hostile);
    browser.open(&file, View { width: 1400, medium: Medium::Light }).await.unwrap();
    assert_eq!(browser.evaluate("document.title").await.unwrap(), "Migration report");
    assert!(browser.complaints().len() >= 2, "{:?}", browser.complaints());
    assert!(browser.audit().await.unwrap().wide.is_empty());
}

#[tokio::test]
async fn the_page_says_what_the_report_does() {
    let folder = tempfile::tempdir().unwrap();
    let mut browser = Browser::start().await.unwrap();
    let report = reports::full();
    let file = written(&folder, "full.html", &page(&report));
    browser.open(&file, View { width: 1400, medium: Medium::Light }).await.unwrap();
    let number = |text: &String| text.replace(',', "").parse::<u64>().unwrap_or_default();
    let cells = texts(&mut browser, "#tables tbody td:nth-child(4)").await;
    assert_eq!(cells.len(), report.tables.len());
    assert_eq!(cells.iter().map(number).sum::<u64>(), report.totals.source);
    let migrated = texts(&mut browser, "#tables tbody td:nth-child(5)").await;
    assert_eq!(migrated.iter().map(number).sum::<u64>(), report.totals.migrated);
    let causes: BTreeSet<String> = texts(&mut browser, "#rejects h3 code").await.into_iter().collect();
    let codes = report.tables.values().flat_map(|table| &table.rejects).map(|cause| cause.code.as_str().to_owned());
    assert_eq!(causes, codes.collect());
    let plan = report.plan.as_ref().unwrap();
    let edges = texts(&mut browser, "#references svg .edge title").await;
    for table in &plan.tables {
        for reference in &table.references {
            let words = format!("{} refers to {}", table.table, reference.to);
            assert!(edges.contains(&words), "{words}: {edges:?}");
        }
    }
    let cut = texts(&mut browser, "#references svg .edge.cut title").await;
    assert_eq!(cut, ["people refers to people"]);
    // 8 MiB in each step of a second: over the limits of 4 and at that of 8.
    let limits = texts(&mut browser, "#timing svg text.limit").await;
    assert_eq!(limits, ["4 MiB/s: class S16", "8 MiB/s: class S256"]);
    let passed = texts(&mut browser, "#timing table:first-of-type tbody td:nth-child(4)").await;
    assert_eq!(passed, ["went over it", "stayed below", "stayed below", "stayed below"]);
    let left = texts(&mut browser, "#left-behind h3").await;
    assert!(left.iter().any(|title| title.starts_with("Row-level security")), "{left:?}");
    // The boxes of the drawing have words that fit into them.
    let overflowing = browser
        .evaluate(
            "[...document.querySelectorAll('.graph .node')].filter(node => { const box = node.querySelector('.box').getBBox(); \
             return [...node.querySelectorAll('text')].some(text => text.getBBox().x + text.getBBox().width > box.x + box.width); \
             }).map(node => node.textContent)",
        )
        .await
        .unwrap();
    assert_eq!(overflowing, serde_json::json!([]));
}

#[tokio::test]
async fn the_keyboard_reaches_everything() {
    let folder = tempfile::tempdir().unwrap();
    let mut browser = Browser::start().await.unwrap();
    let file = written(&folder, "full.html", &page(&reports::full()));
    browser.open(&file, View { width: 400, medium: Medium::Light }).await.unwrap();
    let mut reached = Vec::new();
    // Once round: behind the last stop is the browser's own window.
    loop {
        assert!(reached.len() < 500, "{reached:?}");
        browser.press("Tab", 9).await.unwrap();
        let now = browser.evaluate(
            "(() => { const at = document.activeElement, style = getComputedStyle(at); const box = at.getBoundingClientRect(); \
             return [at.getAttribute('href') ?? at.getAttribute('aria-label') ?? at.tagName, \
             style.outlineStyle !== 'none' || at.closest('.graph') !== null, box.right > 0 && box.left < innerWidth]; })()",
        );
        let now = now.await.unwrap();
        if now[0] == "BODY" {
            break;
        }
        assert_eq!((&now[1], &now[2]), (&Value::Bool(true), &Value::Bool(true)), "the focus is seen: {now}");
        reached.push(now[0].as_str().unwrap().to_owned());
    }
    assert_eq!(reached[0], "#main", "the first stop leads past the navigation");
    for wanted in ["#rejects", "Tables", "References between tables", "Lossy edits", "SUMMARY"] {
        assert!(reached.iter().any(|place| place == wanted), "{wanted}: {reached:?}");
    }
}

#[tokio::test]
async fn names_with_markup_are_shown_and_do_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut browser = Browser::start().await.unwrap();
    let report = reports::hostile();
    let file = written(&folder, "hostile.html", &verified_page(&report, &verifications::hostile()));
    look(&mut browser, &file, "hostile").await;
    browser.open(&file, View { width: 1400, medium: Medium::Light }).await.unwrap();
    let names: Vec<String> = report.tables.keys().map(|name| reports::visible(name)).collect();
    assert_eq!(texts(&mut browser, "#tables tbody th > bdi").await, names);
    assert_eq!(texts(&mut browser, "#verification .card + .scroll tbody th > bdi").await, names);
    let isolated = browser.evaluate(
        "[...document.querySelectorAll('#tables tbody th bdi')].every(one => getComputedStyle(one).unicodeBidi === 'isolate')",
    );
    assert_eq!(isolated.await.unwrap(), true);
    let whole = browser.evaluate("document.body.textContent").await.unwrap();
    for hidden in ['\u{202e}', '\u{0}', '\u{7}', '\u{200b}', '\u{2066}'] {
        assert!(!whole.as_str().unwrap().contains(hidden), "{:x}", u32::from(hidden));
    }
    assert!(whole.as_str().unwrap().contains("<img src=x onerror=\"alert(1)\">"));
}

#[tokio::test]
async fn it_can_be_printed() {
    let folder = tempfile::tempdir().unwrap();
    let mut browser = Browser::start().await.unwrap();
    let file = written(&folder, "full.html", &page(&reports::full()));
    browser.open(&file, View { width: PAPER, medium: Medium::Print }).await.unwrap();
    let paper = browser.print().await.unwrap();
    assert!(paper.starts_with(b"%PDF-") && paper.len() > 20_000, "{} bytes", paper.len());
    // What is folded on the screen is on paper.
    let heights = browser.evaluate(
        "[...document.querySelectorAll('details')].map(one => { one.open = false; return one.offsetHeight - one.querySelector('summary').offsetHeight; })",
    );
    let heights = heights.await.unwrap();
    assert!(!heights.as_array().unwrap().is_empty());
    assert!(heights.as_array().unwrap().iter().all(|height| height.as_i64().unwrap() > 10), "{heights}");
}
