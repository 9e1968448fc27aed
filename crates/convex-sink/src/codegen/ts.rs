//! A small printer of TypeScript expressions, laid out as prettier does at 100 columns.

use std::fmt::Write as _;

/// Columns of a line.
const WIDTH: usize = 100;

/// An expression.
#[derive(Debug, Clone)]
pub(super) enum Expr {
    /// Text as it is, never broken.
    Raw(String),
    /// A call.
    Call(&'static str, Vec<Expr>),
    /// An array.
    List(Vec<Expr>),
    /// An object of `name: value`, or `name` alone; on several lines when it is open.
    Object { entries: Vec<(String, Option<Expr>)>, open: bool },
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
    pub(super) fn open_object(entries: impl IntoIterator<Item = (String, Expr)>) -> Self {
        let entries: Vec<_> = entries.into_iter().map(|(name, value)| (name, Some(value))).collect();
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
                let entry = |(name, value): &(String, Option<Expr>)| match value {
                    Some(value) => value.flat().map(|value| format!("{name}: {value}")),
                    None => Some(name.clone()),
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
                for (name, value) in entries {
                    let inner = indent + 2;
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

/// A string literal: JSON's, without the line ends that older JavaScript knows (U+2028, U+2029) and without a `<` that
/// could end a script element.
pub(super) fn literal(text: &str) -> String {
    let json = serde_json::Value::from(text).to_string();
    json.replace('\u{2028}', "\\u2028")
        .replace('\u{2029}', "\\u2029")
        .replace("</", "\\u003c/")
        .replace("<!--", "\\u003c!--")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_are_safe_in_a_script() {
        assert_eq!(literal("a\"b\\\n"), r#""a\"b\\\n""#);
        assert_eq!(literal("\u{2028}\u{2029}"), r#""\u2028\u2029""#);
        assert_eq!(literal("</script><!--"), r#""\u003c/script>\u003c!--""#);
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
        let object = Expr::call("v.object", [Expr::open_object([("a".to_owned(), Expr::text("b"))])]);
        assert_eq!(object.print(0, 0, 0), "v.object({\n  a: \"b\",\n})");
        assert_eq!(Expr::open_object([]).print(0, 0, 0), "{}");
    }
}
