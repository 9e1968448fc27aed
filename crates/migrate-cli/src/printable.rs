//! What a terminal shows of text that others wrote: names of tables and files, and what servers answer.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Controls that order text, which show a name in other characters' places.
const ORDERING: &[char] = &[
    '\u{061c}', '\u{200e}', '\u{200f}', '\u{2028}', '\u{2029}', '\u{202a}', '\u{202b}', '\u{202c}', '\u{202d}',
    '\u{202e}', '\u{2066}', '\u{2067}', '\u{2068}', '\u{2069}',
];

fn is_control(char: char) -> bool {
    char.is_control() || ORDERING.contains(&char)
}

/// Text of several lines, with each other control character as an escape that is only read: a terminal obeys none.
pub(crate) fn text(text: &str) -> Cow<'_, str> {
    escaped(text, |char| char == '\n')
}

/// As [`text`], for what is one line.
pub(crate) fn line(text: &str) -> Cow<'_, str> {
    escaped(text, |_| false)
}

/// As [`text`], for text that has colours: their codes stay.
pub(crate) fn coloured(text: &str) -> Cow<'_, str> {
    if !text.chars().any(|char| is_control(char) && char != '\n') {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\u{1b}') {
        let (before, code) = rest.split_at(at);
        shown.push_str(&self::text(before));
        let length = colour_length(code);
        let (code, after) = code.split_at(length.unwrap_or(1));
        if length.is_some() {
            shown.push_str(code);
        } else {
            shown.push_str(&self::text(code));
        }
        rest = after;
    }
    shown.push_str(&self::text(rest));
    Cow::Owned(shown)
}

/// Bytes of a colour's code at the start of a text: `ESC [`, digits and semicolons, `m`.
fn colour_length(text: &str) -> Option<usize> {
    let parameters = text.strip_prefix("\u{1b}[")?;
    let end = parameters.find(|char: char| !char.is_ascii_digit() && char != ';')?;
    parameters[end..].starts_with('m').then_some(end + 3)
}

fn escaped(text: &str, stays: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.chars().any(|char| is_control(char) && !stays(char)) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    for char in text.chars() {
        if is_control(char) && !stays(char) {
            let _ = write!(shown, "{}", char.escape_unicode());
        } else {
            shown.push(char);
        }
    }
    Cow::Owned(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_obeys_no_name() {
        let name = "a\u{1b}]0;title\u{7}b\u{9b}2Jc\rd\u{202e}e";
        assert_eq!(text(name), "a\\u{1b}]0;title\\u{7}b\\u{9b}2Jc\\u{d}d\\u{202e}e");
        assert_eq!(text("one\ntwo"), "one\ntwo");
        assert_eq!(line("one\ntwo"), "one\\u{a}two");
        assert!(matches!(text("größe 数"), Cow::Borrowed(_)));
    }

    #[test]
    fn colours_stay_and_nothing_else_does() {
        assert_eq!(coloured("\u{1b}[1;31mred\u{1b}[0m\n"), "\u{1b}[1;31mred\u{1b}[0m\n");
        assert_eq!(coloured("\u{1b}[2Jx\u{1b}"), "\\u{1b}[2Jx\\u{1b}");
        assert_eq!(coloured("\u{1b}[31"), "\\u{1b}[31");
    }
}
