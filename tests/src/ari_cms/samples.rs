//! Values that hand-written migrations have tripped over, and the words that ordinary rows are made of.

use super::{random::SplitMix64, sql};

/// Texts that must arrive byte for byte.
pub(super) const AWKWARD_TEXTS: [&str; 16] = [
    "",
    "O'Brien said \"maybe\" and 'no'",
    r"C:\new\table\u0041 and a final backslash\",
    "first line\nsecond line\r\n\tindented",
    "comma, semicolon; pipe| and 100%",
    "line\u{2028}and paragraph\u{2029}separators",
    "emoji 🎓👩‍🎓🇮🇩 beyond the first plane",
    "Zażółć gęślą jaźń, 日本語, العربية",
    "e\u{301} is not é",
    "  spaces around  ",
    "null",
    r#"{"looks":"like JSON"}"#,
    "$integer",
    "<script>alert('x')</script> &amp; `${x}`",
    "control \u{1}\u{1f}\u{7f} characters",
    "\u{feff}byte order mark",
];

/// JSON documents whose numbers all survive a trip through a double.
pub(super) const JSON_DOCUMENTS: [&str; 10] = [
    r#"{"gpa": 3.25, "ielts": {"overall": 6.5, "bands": [6, 6.5, 7, 6]}, "documents": ["passport", "transcript"]}"#,
    "{}",
    "[]",
    r#"{"large": 1e20, "small": 0.1, "tiny": -0.000001, "safe": 9007199254740991, "zero": 0}"#,
    r#"{"deep": {"a": {"b": {"c": [{"d": null}, [], {}]}}}}"#,
    r#"{"first name": "a key with a space", "kebab-key": true, "UPPER": false, "0": "digit"}"#,
    r#"{"text": "quote \" backslash \\ newline \n separator \u2028 emoji \ud83c\udf93", "empty": ""}"#,
    r#""only a string""#,
    "42",
    r#"[1, [2, [3, [4, "five"]]]]"#,
];

/// A JSON document with a number that no double holds: it comes back as 12345678901234567168.
pub(super) const INEXACT_JSON: &str = r#"{"order_number": 12345678901234567890}"#;

const WORDS: [&str; 24] = [
    "visa",
    "scholarship",
    "campus",
    "intake",
    "deposit",
    "transcript",
    "housing",
    "interview",
    "deadline",
    "tuition",
    "language",
    "test",
    "document",
    "portfolio",
    "letter",
    "budget",
    "semester",
    "faculty",
    "internship",
    "family",
    "insurance",
    "flight",
    "stipend",
    "alumni",
];

/// A text for row number `row`: an awkward one for every fifth row, ordinary words otherwise.
pub(super) fn prose(random: &mut SplitMix64, row: usize, word_count: usize) -> String {
    if row.is_multiple_of(5) {
        return AWKWARD_TEXTS[row / 5 % AWKWARD_TEXTS.len()].to_owned();
    }
    let words: Vec<_> = (0..word_count).map(|_| random.pick(&WORDS)).collect();
    words.join(" ")
}

/// A point in time within 2024 and 2025, as a SQL literal. In turn its fraction has microseconds, whole milliseconds,
/// nothing, and microseconds again.
pub(super) fn instant(random: &mut SplitMix64, row: usize) -> String {
    const START_OF_2024: i64 = 1_704_067_200_000_000;
    const TWO_YEARS: u64 = 2 * 365 * 86_400;
    let mut within = |bound: u64| i64::try_from(random.below(bound)).expect("the bound is small");
    let seconds = within(TWO_YEARS);
    let fraction = match row % 4 {
        1 => within(1_000) * 1_000,
        2 => 0,
        _ => within(1_000) * 1_000 + 1 + within(999),
    };
    sql::timestamp(START_OF_2024 + seconds * 1_000_000 + fraction)
}

/// `created_at` and `updated_at` of row number `row`; each is NULL in some rows.
pub(super) fn created_and_updated(random: &mut SplitMix64, row: usize) -> [String; 2] {
    [sql::unless(row % 13 == 4, instant(random, row)), sql::unless(row % 17 == 6, instant(random, row + 1))]
}
