//! The assessment's page as a real browser shows it. `full.json` is what the tests of `assess` make of their project.

use std::path::{Path, PathBuf};

use migrate_core::assess::{Assessment, Readiness, ScanMode};
use migrate_core::catalog::{InventoryItem, InventoryKind};
use migrate_core::names::{FieldName, SourceKey, TableName};
use migrate_tests::browser::{Browser, Medium, View};
use serde_json::json;
use tempfile::TempDir;

const FULL: &str = include_str!("full.json");

const SECTIONS: [&str; 7] = ["readiness", "decisions", "health", "types", "estimate", "left", "method"];

/// A phone, a desk, in light and in dark, and paper.
const VIEWS: [(u32, Medium); 5] =
    [(400, Medium::Light), (400, Medium::Dark), (1400, Medium::Light), (1400, Medium::Dark), (700, Medium::Print)];

/// Markup, a direction that turns text around, and a line's end.
const HOSTILE: &str = "</td><script>alert(1)</script><img src=x onerror=\"alert('2')\">\u{202e}{{ 7 * 7 }}\n&amp;";

fn full() -> Assessment {
    serde_json::from_str(FULL).unwrap()
}

fn write(folder: &TempDir, assessment: &Assessment) -> PathBuf {
    let [_, page] = migrate_cli::testing::show_assessment(&serde_json::to_string(assessment).unwrap(), None).unwrap();
    let file = folder.path().join("assessment.html");
    std::fs::write(&file, page).unwrap();
    file
}

async fn evaluate(browser: &mut Browser, expression: &str) -> serde_json::Value {
    browser.evaluate(expression).await.unwrap()
}

/// Looks at a page in every way: what is wrong with it, what it complains of, what it loads, and which sections it has.
async fn look_in_every_way(file: &Path, name: &str) -> Browser {
    let mut browser = Browser::start().await.unwrap();
    for (width, medium) in VIEWS {
        browser.open(file, View { width, medium }).await.unwrap();
        let audit = browser.audit().await.unwrap();
        assert!(audit.faults().is_empty() && audit.texts > 20, "{name} at {width}, {medium:?}: {audit:#?}");
        assert!(browser.complaints().is_empty(), "{name} at {width}, {medium:?}: {:?}", browser.complaints());
        let loaded = browser.requests().into_iter().filter(|address| !address.starts_with("data:"));
        assert_eq!(loaded.count(), 1, "{name} loads nothing but itself: {:?}", browser.requests());
        let sections =
            evaluate(&mut browser, "[...document.querySelectorAll('main > section')].map(at => at.id)").await;
        assert_eq!(sections, json!(SECTIONS), "{name}");
    }
    browser
}

#[tokio::test]
async fn the_page_shows_what_the_assessment_has() {
    let (folder, assessment) = (TempDir::new().unwrap(), full());
    let mut browser = look_in_every_way(&write(&folder, &assessment), "full").await;
    let texts =
        |selector: &str| format!("[...document.querySelectorAll({selector:?})].map(at => at.textContent.trim())");
    let names: Vec<String> = assessment.tables.iter().map(|table| table.table.to_string()).collect();
    assert_eq!(evaluate(&mut browser, &texts("#readiness tbody th")).await, json!(names));
    let states: Vec<&str> = assessment.tables.iter().map(|table| table.readiness.words()).collect();
    assert_eq!(evaluate(&mut browser, &texts("#readiness tbody td:nth-child(2)")).await, json!(states));
    let codes: Vec<&str> = assessment.findings().iter().map(|(_, found)| found.kind.as_str()).collect();
    assert_eq!(evaluate(&mut browser, &texts("#health td:nth-child(2) > code")).await, json!(codes));
    let decisions: usize = assessment.tables.iter().map(|table| table.decisions.len()).sum();
    assert_eq!(evaluate(&mut browser, "document.querySelectorAll('#decisions li').length").await, json!(decisions));
    let columns: usize = assessment.tables.iter().map(|table| table.columns.len()).sum();
    assert_eq!(evaluate(&mut browser, "document.querySelectorAll('#types tbody tr').length").await, json!(columns));
    let edges = evaluate(&mut browser, &texts("#readiness svg .edge title")).await;
    assert!(edges.as_array().unwrap().contains(&json!("lines refers to orders")), "{edges}");
    assert_eq!(evaluate(&mut browser, "document.querySelectorAll('#estimate tbody tr').length").await, json!(4));
}

#[tokio::test]
async fn names_and_texts_with_markup_do_nothing() {
    let folder = TempDir::new().unwrap();
    let mut assessment = full();
    for table in &mut assessment.tables {
        table.table = TableName::new("public", &format!("{}{HOSTILE}", table.table)).unwrap();
        for decision in &mut table.decisions {
            decision.what.push_str(HOSTILE);
            decision.setting = decision.setting.take().map(|setting| setting + HOSTILE);
        }
        for column in &mut table.columns {
            column.column = FieldName::from(HOSTILE);
            column.source_type = HOSTILE.to_owned();
            column.becomes = HOSTILE.to_owned();
        }
        table.not_enforced.push(HOSTILE.to_owned());
        for found in table.scan.iter_mut().flat_map(|scan| &mut scan.findings) {
            found.column = Some(HOSTILE.to_owned());
            found.sample_keys = vec![SourceKey::from(HOSTILE)];
            found.detail = Some(HOSTILE.to_owned());
        }
    }
    let detail = Some(HOSTILE.to_owned());
    assessment.inventory.push(InventoryItem { kind: InventoryKind::Policy, name: HOSTILE.to_owned(), detail });
    assessment.notes.push(HOSTILE.to_owned());
    assessment.unknown.push(HOSTILE.to_owned());
    assessment.scan.unchecked.push(HOSTILE.to_owned());
    assessment.origin = HOSTILE.to_owned();
    let mut browser = look_in_every_way(&write(&folder, &assessment), "hostile").await;
    let foreign = "document.querySelectorAll('script, img, iframe, object, form, [onerror]').length";
    assert_eq!(evaluate(&mut browser, foreign).await, json!(0));
    let text = evaluate(&mut browser, "document.body.textContent").await;
    let text = text.as_str().unwrap();
    assert!(text.contains("<img src=x onerror=\"alert('2')\">⟨U+202E⟩{{ 7 * 7 }}␊&amp;"));
    assert!(!text.contains('\u{202e}'));
}

#[tokio::test]
async fn an_assessment_with_little_in_it_is_a_page_too() {
    let folder = TempDir::new().unwrap();
    let mut none = full();
    none.scan.mode = ScanMode::None;
    none.estimate = None;
    for table in &mut none.tables {
        (table.scan, table.rows, table.decisions, table.readiness) = (None, None, Vec::new(), Readiness::Automatic);
        table.refers_to.clear();
    }
    look_in_every_way(&write(&folder, &none), "without a scan").await;
    none.tables.clear();
    none.inventory.clear();
    look_in_every_way(&write(&folder, &none), "without tables").await;
}
