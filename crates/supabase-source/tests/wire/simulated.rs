//! A table behind PostgREST's query grammar, as far as the source uses it. It fails on everything else.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Map, Value as Json, json};
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

/// Rows of one table, served with a silent cap (`db-max-rows`).
pub(crate) struct Simulated {
    pub(crate) rows: Vec<Map<String, Json>>,
    /// Rows that an answer has at most, whatever `limit` says.
    pub(crate) cap: usize,
    /// Answers 57014 to a `limit` above it.
    pub(crate) slow_above: AtomicUsize,
    /// Answers 57014 so many times.
    pub(crate) slow_answers: AtomicUsize,
}

impl Simulated {
    pub(crate) fn new(rows: &Json, cap: usize) -> Self {
        let rows = rows.as_array().unwrap().iter().map(|row| row.as_object().unwrap().clone()).collect();
        Self { rows, cap, slow_above: AtomicUsize::new(usize::MAX), slow_answers: AtomicUsize::new(0) }
    }

    /// Serves the table as `/rest/v1/{name}`, and `definition` of it at the root.
    pub(crate) async fn serve(self, name: &str, definition: Json) -> MockServer {
        let server = MockServer::start().await;
        let document = json!({ "swagger": "2.0", "info": { "version": "14.8" }, "definitions": { name: definition } });
        let root = Mock::given(method("GET")).and(path("/rest/v1/"));
        root.respond_with(ResponseTemplate::new(200).set_body_json(document)).mount(&server).await;
        Mock::given(path(format!("/rest/v1/{name}"))).respond_with(self).mount(&server).await;
        server
    }
}

impl Respond for Simulated {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        assert!(!request.headers.contains_key("range"), "a Range header was sent");
        assert!(request.url.as_str().len() < 6 * 1024 + 64, "a URL of {} bytes", request.url.as_str().len());
        let mut rows = self.rows.clone();
        let (mut select, mut limit) = (Vec::new(), usize::MAX);
        for (name, value) in request.url.query_pairs() {
            match &*name {
                "select" => select = items(&value).into_iter().map(selected).collect(),
                "limit" => limit = value.parse().unwrap(),
                "order" => {
                    for item in items(&value).into_iter().rev() {
                        let (column, direction) = quoted(item);
                        rows.sort_by_key(|row| sortable(&row[&column]));
                        match direction {
                            ".asc" => {}
                            ".desc" => rows.reverse(),
                            other => panic!("an order of {other}"),
                        }
                    }
                }
                "or" => {
                    let groups = items(value.strip_prefix('(').unwrap().strip_suffix(')').unwrap());
                    rows.retain(|row| groups.iter().any(|group| group_holds(row, group)));
                }
                "offset" => panic!("an offset was asked for"),
                column => {
                    let (column, rest) = quoted(column);
                    assert_eq!(rest, "");
                    rows.retain(|row| holds(row, &column, &value));
                }
            }
        }
        let fewer = |left: usize| left.checked_sub(1);
        let is_slow = self.slow_answers.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fewer).is_ok();
        if is_slow || limit > self.slow_above.load(Ordering::Relaxed) {
            return ResponseTemplate::new(500)
                .set_body_json(json!({ "code": "57014", "message": "canceling statement due to statement timeout", "details": null, "hint": null }));
        }
        let total = rows.len();
        rows.truncate(limit.min(self.cap));
        let range = match rows.len() {
            0 => "*".to_owned(),
            rows => format!("0-{}", rows - 1),
        };
        if request.method.as_str() == "HEAD" {
            assert_eq!(request.headers["prefer"], "count=exact");
            return ResponseTemplate::new(206).insert_header("content-range", format!("{range}/{total}"));
        }
        assert_eq!(request.headers["prefer"], "timezone=UTC");
        let shown = |row: &Map<String, Json>| -> Map<String, Json> {
            select.iter().map(|(name, column, cast)| (name.clone(), show(&row[column], *cast))).collect()
        };
        let rows: Vec<_> = rows.iter().map(shown).collect();
        ResponseTemplate::new(200)
            .insert_header("content-range", format!("{range}/*"))
            .insert_header("preference-applied", "timezone=UTC")
            .set_body_json(rows)
    }
}

fn show(value: &Json, cast: bool) -> Json {
    if cast && !value.is_null() { Json::String(value["json"].to_string()) } else { value.clone() }
}

fn sortable(value: &Json) -> (i64, String) {
    (value.as_i64().unwrap_or_default(), value.as_str().unwrap_or_default().to_owned())
}

fn literal(like: &Json, text: &str) -> (i64, String) {
    if like.is_i64() { (text.parse().unwrap(), String::new()) } else { (0, text.to_owned()) }
}

/// `eq.5`, the value raw; `in.("a","b")`.
fn holds(row: &Map<String, Json>, column: &str, condition: &str) -> bool {
    let value = &row[column];
    let (operator, operand) = condition.split_once('.').unwrap();
    if operator == "in" {
        let list = items(operand.strip_prefix('(').unwrap().strip_suffix(')').unwrap());
        let list: Vec<String> = list.into_iter().map(|item| quoted(item).0).collect();
        // `in.("")` is an empty list.
        return list != [""] && list.iter().any(|item| sortable(value) == literal(value, item));
    }
    let (value, operand) = (sortable(value), literal(value, operand));
    match operator {
        "eq" => value == operand,
        "gt" => value > operand,
        "gte" => value >= operand,
        "lt" => value < operand,
        other => panic!("an operator {other}"),
    }
}

/// `and("a".eq."x","b".eq."y")`.
fn group_holds(row: &Map<String, Json>, group: &str) -> bool {
    items(group.strip_prefix("and(").unwrap().strip_suffix(')').unwrap()).into_iter().all(|condition| {
        let (column, rest) = quoted(condition);
        let (value, rest) = quoted(rest.strip_prefix(".eq.").unwrap());
        assert_eq!(rest, "");
        holds(row, &column, &format!("eq.{value}"))
    })
}

/// Name in the answer, column, and whether it is cast to text.
fn selected(item: &str) -> (String, String, bool) {
    let (name, rest) = quoted(item);
    match rest {
        "" => (name.clone(), name, false),
        rest => {
            let (column, cast) = quoted(rest.strip_prefix(':').unwrap());
            assert_eq!(cast, "::text");
            (name, column, true)
        }
    }
}

/// Splits at commas outside quotes and parentheses.
fn items(text: &str) -> Vec<&str> {
    let (mut parts, mut start, mut depth, mut inside, mut escaped) = (Vec::new(), 0, 0, false, false);
    for (position, char) in text.char_indices() {
        match char {
            _ if escaped => escaped = false,
            '\\' if inside => escaped = true,
            '"' => inside = !inside,
            '(' if !inside => depth += 1,
            ')' if !inside => depth -= 1,
            ',' if !inside && depth == 0 => {
                parts.push(&text[start..position]);
                start = position + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

/// A quoted name or value, and what follows it.
fn quoted(text: &str) -> (String, &str) {
    let mut rest = text.strip_prefix('"').unwrap_or_else(|| panic!("{text} is not quoted")).chars();
    let mut parsed = String::new();
    loop {
        match rest.next().unwrap() {
            '"' => return (parsed, rest.as_str()),
            '\\' => parsed.push(rest.next().unwrap()),
            char => parsed.push(char),
        }
    }
}
