use std::sync::{Arc, Mutex};
use std::time::Duration;

use insta::assert_snapshot;
use migrate_core::names::TableName;
use migrate_core::observe::{Event, Observer as _, TableStatus};
use migrate_core::state::Totals;
use migrate_core::verify::TableVerification;
use unicode_width::UnicodeWidthStr as _;

use super::board::Board;
use super::layout::{Layout, plain};
use super::{Progress, Screen, Work};

fn name(text: &str) -> TableName {
    TableName::new("public", text).unwrap()
}

fn started(table: &str, expected: impl Into<Option<u64>>) -> Event {
    Event::TableStarted { table: name(table), expected: expected.into(), resumed: Box::default() }
}

fn committed(table: &str, read: u64, rejected: u64) -> Event {
    let delta = Totals { read, inserted: read - rejected, rejected, bytes: read * 530, ..Totals::default() };
    Event::BatchCommitted { table: name(table), delta: Box::new(delta), elapsed: Duration::ZERO }
}

fn finished(table: &str) -> Event {
    Event::TableFinished { table: name(table), status: TableStatus::Complete, counted: None, error: None }
}

const fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Four tables on their way: one done, two that are read, one that waits.
fn shop() -> Board {
    let mut board = Board::new(Work::Copying, ["regions", "customers", "order_lines", "audit"].map(name));
    board.estimate(|table| {
        [("audit", 4_000_000), ("orders", 1)].iter().find(|(n, _)| *n == table.name()).map(|(_, rows)| *rows)
    });
    board.on_event(&started("regions", 12), at(0));
    board.on_event(&committed("regions", 12, 0), at(0));
    board.on_event(&finished("regions"), at(0));
    board.on_event(&started("customers", 20_000), at(0));
    board.on_event(&started("order_lines", 1_234_567), at(0));
    for second in 0..10 {
        board.on_event(&committed("customers", 1_000, 3), at(second));
        board.on_event(&committed("order_lines", 41_000, 0), at(second));
    }
    board
}

#[test]
fn a_line_for_each_table_and_the_total() {
    let board = shop();
    for (width, height) in [(200, 50), (120, 50), (80, 23), (60, 23), (40, 23)] {
        let lines = Layout::default().lines(&board, at(10), width, height);
        assert!(lines.iter().all(|line| line.width() <= width), "{width}: {lines:#?}");
        assert_snapshot!(format!("shop_{width}"), lines.join("\n"));
    }
    assert_snapshot!("shop_plain", plain(&board, at(10)));
}

fn compared(table: &str, documents: u64, rows: u64) -> Event {
    Event::VerificationRead { table: name(table), documents, rows }
}

/// A verification of customers and order lines, which refer to regions; the audit has no turn.
fn verification() -> Board {
    let mut board = Board::new(Work::Comparing, ["regions", "customers", "order_lines", "products", "audit"].map(name));
    board.select(|table| !["regions", "audit"].contains(&table.name()));
    assert!(!board.has_begun());
    let known = TableVerification { source: 40, documents: 39, missing: 1, ..TableVerification::of(name("products")) };
    board.on_event(&Event::TableVerified { table: name("products"), result: Box::new(known) }, at(0));
    for (table, documents, rows) in [
        ("regions", Some(12), Some(0)),
        ("customers", Some(20_000), Some(20_000)),
        ("order_lines", Some(400_000), Some(400_000)),
    ] {
        board.on_event(&Event::VerificationExpected { table: name(table), documents, rows }, at(0));
    }
    board.on_event(&compared("regions", 12, 0), at(0));
    board.on_event(&Event::TableReadBack { table: name("regions"), rows_follow: false }, at(0));
    board
}

#[test]
fn a_verification_compares_and_its_tables_are_done_once_they_are_verified() {
    let mut board = verification();
    let shown = |board: &Board, seconds: u64| {
        let lines = Layout::default().lines(board, at(seconds), 100, 20).join("\n");
        format!("{lines}\n\n{}", plain(board, at(seconds)))
    };
    for second in 0..5 {
        board.on_event(&compared("customers", 4_000, 0), at(second));
        board.on_event(&compared("order_lines", 30_000, 0), at(second));
    }
    board.on_event(&Event::TableReadBack { table: name("customers"), rows_follow: true }, at(5));
    assert_snapshot!("verification_reads_back", shown(&board, 5));
    for second in 5..9 {
        board.on_event(&compared("order_lines", 62_500, 0), at(second));
    }
    board.on_event(&Event::TableReadBack { table: name("order_lines"), rows_follow: true }, at(9));
    for second in 9..14 {
        board.on_event(&compared("customers", 0, 4_000), at(second));
        board.on_event(&compared("order_lines", 0, 8_000), at(second));
    }
    let counts = TableVerification {
        is_compared: true,
        source: 20_000,
        documents: 20_000,
        differing: 30,
        ..TableVerification::of(name("customers"))
    };
    board.on_event(&Event::TableVerified { table: name("customers"), result: Box::new(counts) }, at(14));
    assert_snapshot!("verification_compares", shown(&board, 14));
    let counts =
        TableVerification { source: 400_000, documents: 400_000, ..TableVerification::of(name("order_lines")) };
    board.on_event(&Event::TableVerified { table: name("order_lines"), result: Box::new(counts) }, at(20));
    assert_snapshot!("verification_done", shown(&board, 20));
    assert_eq!((board.total().read, board.total().percent()), (840_091, Some(100)));
}

#[test]
fn a_scan_checks() {
    let mut board = Board::new(Work::Checking, ["customers", "orders"].map(name));
    board.on_event(&started("customers", 20_000), at(0));
    for second in 0..5 {
        board.on_event(&Event::RowsChecked { table: name("customers"), rows: 1_000, rejected: 2 }, at(second));
    }
    let lines = Layout::default().lines(&board, at(5), 100, 20).join("\n");
    assert_snapshot!("scan", format!("{lines}\n\n{}", plain(&board, at(5))));
}

#[test]
fn many_tables_fit_into_the_screen() {
    let names: Vec<String> = (0..300).map(|number| format!("table_{number}")).collect();
    let mut board = Board::new(Work::Copying, names.iter().map(|text| name(text)));
    for table in &names[..200] {
        board.on_event(&started(table, 10), at(0));
        board.on_event(&committed(table, 10, 0), at(1));
        if table.as_str() < "table_15" {
            board.on_event(&finished(table), at(1));
        }
    }
    for height in 1..30 {
        let lines = Layout::default().lines(&board, at(5), 80, height);
        assert!(lines.len() <= height, "{height}: {lines:#?}");
        assert!(lines.last().unwrap().starts_with("total"), "{height}: {lines:#?}");
    }
    let lines = Layout::default().lines(&board, at(5), 80, 8);
    assert!(lines[5].starts_with("and ") && lines[5].ends_with(" more at work"), "{lines:#?}");
    assert!(lines[6].contains(" tables done") && lines[6].contains("100 waiting"), "{lines:#?}");
}

#[test]
fn no_table_is_over_a_hundred_percent() {
    let mut board = Board::new(Work::Copying, [name("orders"), name("lines")]);
    board.estimate(|_| Some(100));
    // Rows came after the count.
    board.on_event(&started("orders", 10), at(0));
    board.on_event(&committed("orders", 25, 0), at(1));
    // Nobody counted this one; it holds more than the catalog says.
    board.on_event(&started("lines", None), at(0));
    board.on_event(&committed("lines", 250, 0), at(2));
    let of = |board: &Board, table: &str| {
        let (_, counts) = board.tables().find(|(known, _)| known.name() == table).unwrap();
        (counts.percent(), counts.all(), counts.is_estimate())
    };
    assert_eq!(of(&board, "orders"), (Some(100), Some(25), false));
    assert_eq!(of(&board, "lines"), (Some(99), Some(250), true), "a guess is never all of it");
    assert_eq!(board.total().percent(), Some(99));
    assert_eq!(board.left(&board.total(), at(3)), None, "nothing is known to be left");
    board.on_event(&finished("orders"), at(3));
    board.on_event(&finished("lines"), at(3));
    assert_eq!(board.total().percent(), Some(100));
    assert!(!board.total().is_estimate());
}

#[test]
fn rejects_that_are_taken_up_are_not_counted_twice() {
    let mut board = Board::new(Work::Copying, [name("orders")]);
    let resumed = Totals { read: 10, rejected: 4, inserted: 6, ..Totals::default() };
    let resumed = Box::new(resumed);
    board.on_event(&Event::TableStarted { table: name("orders"), expected: Some(10), resumed }, at(0));
    let taken = Box::new(Totals { read: 3, rejected: 3, ..Totals::default() });
    board.on_event(&Event::RejectsTaken { table: name("orders"), taken, gone: 0 }, at(1));
    board.on_event(&committed("orders", 3, 1), at(1));
    let total = board.total();
    assert_eq!((total.read, total.findings), (10, 2));
}

#[test]
fn names_are_no_commands_of_a_terminal() {
    let mut board = Board::new(Work::Copying, [name("a\u{1b}[2J\u{7}\nb")]);
    board.on_event(&started("a\u{1b}[2J\u{7}\nb", 10), at(0));
    let lines = Layout::default().lines(&board, at(1), 120, 10);
    assert_eq!(lines.len(), 2);
    assert!(lines.iter().all(|line| !line.contains(char::is_control)), "{lines:?}");
}

#[tokio::test(start_paused = true)]
async fn without_a_terminal_a_line_comes_every_ten_seconds() {
    let written: Arc<Mutex<Vec<String>>> = Arc::default();
    let lines = written.clone();
    let screen = Screen::Plain(Box::new(move |line: &str| lines.lock().unwrap().push(line.to_owned())));
    let progress = Progress::on(screen, Work::Copying, [name("orders")]);
    let count = || written.lock().unwrap().len();
    tokio::time::sleep(Duration::from_secs(25)).await;
    assert_eq!(count(), 0, "nothing has begun");
    progress.on_event(&started("orders", 100));
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(count(), 1);
    // A source that says nothing for a minute is told of all the same.
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert_eq!(count(), 7);
    for part in 0..=100 {
        progress.activity("uploading", Some((part, 100)));
    }
    let uploads = written.lock().unwrap().iter().filter(|line| line.starts_with("uploading")).count();
    assert_eq!(uploads, 11, "every tenth part");
    progress.finish();
    let before = count();
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert_eq!(count(), before);
}

#[tokio::test(start_paused = true)]
async fn a_storm_of_repeats_is_a_few_lines() {
    let written: Arc<Mutex<Vec<String>>> = Arc::default();
    let lines = written.clone();
    let screen = Screen::Plain(Box::new(move |line: &str| lines.lock().unwrap().push(line.to_owned())));
    let progress = Progress::on(screen, Work::Copying, [name("orders")]);
    let retried = |operation: &'static str| Event::Retried {
        operation,
        table: Some(name("orders")),
        attempt: 1,
        delay: Duration::from_millis(500),
        code: "rate_limited".to_owned(),
        message: String::new(),
    };
    for _ in 0..1_000 {
        progress.on_event(&retried("write_batch"));
    }
    progress.on_event(&retried("read_page"));
    tokio::time::sleep(Duration::from_secs(10)).await;
    progress.on_event(&retried("write_batch"));
    assert_eq!(
        *written.lock().unwrap(),
        [
            "write_batch orders: attempt 1 failed (rate_limited), again in 0.5 s",
            "read_page orders: attempt 1 failed (rate_limited), again in 0.5 s",
            "write_batch orders: attempt 1 failed (rate_limited), again in 0.5 s; 999 more like it since the last line",
        ]
    );
}
