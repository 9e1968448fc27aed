//! A small printer of TypeScript expressions, laid out as prettier does at 100 columns.

use std::fmt::Write as _;

use super::comments::{self, is_hidden};

/// Columns of a line.
pub(super) const WIDTH: usize = 100;

/// An expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Expr {
    /// Text as it is, never broken.
    Raw(String),
    /// A call.
    Call(&'static str, Vec<Expr>),
    /// An array.
    List(Vec<Expr>),
    /// An object; on several lines when it is open.
    Object { entries: Vec<Entry>, open: bool },
}

/// One entry of an object: `name: value`, or `name` alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// The name, an identifier.
    pub(super) name: String,
    /// Its value; a variable of that name where there is none.
    pub(super) value: Option<Expr>,
    /// A comment above it, on lines of its own; only in an open object.
    pub(super) comment: Option<String>,
}

impl Entry {
    /// `name: value`, without a comment.
    pub(super) fn new(name: impl Into<String>, value: Expr) -> Self {
        Self { name: name.into(), value: Some(value), comment: None }
    }
}

impl Expr {
    /// A string literal.
    pub(super) fn text(text: &str) -> Self {
        Self::Raw(literal(text))
    }

    /// A call without arguments or with one.
    pub(super) fn call(name: &'static str, arguments: impl IntoIterator<Item = Expr>) -> Self {
        Self::Call(name, arguments.into_iter().collect())
    }

    /// An object with one field per line.
    pub(super) fn open_object(entries: impl IntoIterator<Item = Entry>) -> Self {
        let entries: Vec<_> = entries.into_iter().collect();
        Self::Object { open: !entries.is_empty(), entries }
    }

    /// Prints it. `indent` is that of the line it starts on, `before` the columns used on that line up to here, `after`
    /// the columns that follow its end.
    pub(super) fn print(&self, indent: usize, before: usize, after: usize) -> String {
        match self.flat() {
            Some(flat) if before + columns(&flat) + after <= WIDTH => flat,
            _ => self.broken(indent, before),
        }
    }

    /// On one line; `None` when something in it must be on several.
    fn flat(&self) -> Option<String> {
        let all =
            |items: &[Expr]| items.iter().map(Self::flat).collect::<Option<Vec<_>>>().map(|items| items.join(", "));
        match self {
            Self::Raw(text) => Some(text.clone()),
            Self::Call(name, arguments) => all(arguments).map(|arguments| format!("{name}({arguments})")),
            Self::List(items) => all(items).map(|items| format!("[{items}]")),
            Self::Object { open: true, .. } => None,
            Self::Object { entries, .. } if entries.is_empty() => Some("{}".to_owned()),
            Self::Object { entries, .. } => {
                let entry = |entry: &Entry| match &entry.value {
                    Some(value) => value.flat().map(|value| format!("{}: {value}", entry.name)),
                    None => Some(entry.name.clone()),
                };
                let entries: Option<Vec<_>> = entries.iter().map(entry).collect();
                entries.map(|entries| format!("{{ {} }}", entries.join(", ")))
            }
        }
    }

    fn broken(&self, indent: usize, before: usize) -> String {
        match self {
            Self::Raw(text) => text.clone(),
            Self::Call(name, arguments) => call(name, arguments, indent, before),
            Self::List(items) => lines("[", "]", items, indent),
            Self::Object { entries, .. } => {
                let mut text = "{\n".to_owned();
                for Entry { name, value, comment } in entries {
                    let inner = indent + 2;
                    for line in comment.iter().flat_map(|comment| comments::lines(comment, inner)) {
                        let _ = writeln!(text, "{:inner$}{line}", "");
                    }
                    match value {
                        Some(value) => {
                            let value = value.print(inner, inner + columns(name) + 2, 1);
                            let _ = writeln!(text, "{:inner$}{name}: {value},", "");
                        }
                        None => {
                            let _ = writeln!(text, "{:inner$}{name},", "");
                        }
                    }
                }
                let _ = write!(text, "{:indent$}}}", "");
                text
            }
        }
    }
}

/// A call on several lines: a last object or array keeps the parentheses' line, anything else gets one of its own.
fn call(name: &str, arguments: &[Expr], indent: usize, before: usize) -> String {
    if let Some((last @ (Expr::Object { .. } | Expr::List(_)), first)) = arguments.split_last()
        && let Some(first) = first.iter().map(Expr::flat).collect::<Option<Vec<_>>>()
    {
        let head = first.iter().fold(format!("{name}("), |text, argument| text + argument + ", ");
        if before + columns(&head) < WIDTH {
            return format!("{head}{})", last.broken(indent, before + columns(&head)));
        }
    }
    lines(&format!("{name}("), ")", arguments, indent)
}

fn lines(open: &str, close: &str, items: &[Expr], indent: usize) -> String {
    let inner = indent + 2;
    let mut text = format!("{open}\n");
    for item in items {
        let _ = writeln!(text, "{:inner$}{},", "", item.print(inner, inner, 1));
    }
    let _ = write!(text, "{:indent$}{close}", "");
    text
}

/// Columns of the last line of a text.
fn columns(text: &str) -> usize {
    text.rsplit('\n').next().unwrap_or_default().chars().count()
}

/// A string literal: JSON's, in which nothing is invisible (such as a line end of older JavaScript, U+2028, or a mark that
/// turns the direction of what is shown) and no `<` could begin or end a script element.
pub(super) fn literal(text: &str) -> String {
    let json = serde_json::Value::from(text).to_string();
    let mut literal = String::with_capacity(json.len());
    for char in json.chars() {
        if is_hidden(char) {
            for unit in char.encode_utf16(&mut [0; 2]) {
                let _ = write!(literal, "\\u{unit:04x}");
            }
        } else {
            literal.push(char);
        }
    }
    literal.replace("</", "\\u003c/").replace("<!--", "\\u003c!--")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_are_safe_in_a_script() {
        assert_eq!(literal("a\"b\\\n"), r#""a\"b\\\n""#);
        assert_eq!(literal("\u{2028}\u{2029}"), r#""\u2028\u2029""#);
        assert_eq!(literal("</script><!--"), r#""\u003c/script>\u003c!--""#);
        assert_eq!(literal("\u{202e}\u{7f}\u{e0001}é"), r#""\u202e\u007f\udb40\udc01é""#);
    }

    #[test]
    fn breaks_only_what_does_not_fit() {
        let union = |count: usize| {
            Expr::call(
                "v.optional",
                [Expr::call("v.union", (0..count).map(|n| Expr::text(&format!("literal number {n}"))))],
            )
        };
        assert_eq!(union(2).print(4, 12, 1), r#"v.optional(v.union("literal number 0", "literal number 1"))"#);
        let broken = "v.optional(\n      v.union(\"literal number 0\", \"literal number 1\", \"literal number 2\", \"literal number 3\"),\n    )";
        assert_eq!(union(4).print(4, 24, 1), broken);
    }

    #[test]
    fn a_last_array_or_object_is_hugged() {
        let fields = (0..4).map(|n| Expr::text(&format!("a_rather_long_field_{n}"))).collect();
        let index = Expr::Call(".index", vec![Expr::text("by_all"), Expr::List(fields)]);
        assert!(index.print(4, 4, 1).starts_with(".index(\"by_all\", [\n      \"a_rather_long_field_0\",\n"));
        let object = Expr::call("v.object", [Expr::open_object([Entry::new("a", Expr::text("b"))])]);
        assert_eq!(object.print(0, 0, 0), "v.object({\n  a: \"b\",\n})");
        assert_eq!(Expr::open_object([]).print(0, 0, 0), "{}");
    }
}
