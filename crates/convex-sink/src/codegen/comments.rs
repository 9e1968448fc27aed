//! Text of others as line comments: nothing in it can end the comment, or be read as anything else.

use super::ts::WIDTH;

/// The lines of a comment, each with its `//`, wrapped for a column. None for a text of nothing but space.
pub(super) fn lines(text: &str, column: usize) -> Vec<String> {
    wrapped(text, column, "// ", "// ")
}

/// As [`lines`], as an item of a list.
pub(super) fn item(text: &str, column: usize) -> Vec<String> {
    wrapped(text, column, "// - ", "//   ")
}

fn wrapped(text: &str, column: usize, first: &str, next: &str) -> Vec<String> {
    let text = tamed(text);
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if column + line.chars().count() + 1 + word.chars().count() <= WIDTH => {
                line.push(' ');
                line.push_str(word);
            }
            last => {
                let lead = if last.is_none() { first } else { next };
                lines.push(format!("{lead}{word}"));
            }
        }
    }
    lines
}

/// The text without what a reader cannot see, and without what compilers, linters, bundlers and browsers look for in
/// comments: `@ts-ignore`, `eslint-disable`, `prettier-ignore`, `sourceMappingURL`, the end of a block comment or of a
/// script element.
fn tamed(text: &str) -> String {
    let visible: String = text
        .chars()
        .filter_map(|char| match char {
            char if char.is_whitespace() || char.is_control() => Some(' '),
            char if is_hidden(char) => None,
            char => Some(char),
        })
        .collect();
    [
        ("*/", "* /"),
        ("</", "< /"),
        ("<!--", "<! --"),
        ("@ts-", "@ ts-"),
        ("eslint-", "eslint -"),
        ("prettier-", "prettier -"),
        ("sourceMappingURL", "sourceMapping URL"),
    ]
    .into_iter()
    .fold(visible, |text, (from, to)| text.replace(from, to))
}

/// Whether a character is not shown, or changes how others are shown: controls, marks of direction, joiners, tags.
pub(super) fn is_hidden(char: char) -> bool {
    char.is_control()
        || matches!(
            char,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_comment_is_wrapped_at_its_column() {
        let text = "word ".repeat(30);
        let shown = item(&text, 4);
        assert_eq!(shown.len(), 2);
        assert!(shown[0].starts_with("// - word word") && shown[1].starts_with("//   word"));
        assert!(shown.iter().all(|line| 4 + line.len() <= WIDTH), "{shown:?}");
        assert_eq!(lines(" \n\t", 0), Vec::<String>::new());
    }

    #[test]
    fn directives_are_only_words() {
        let shown = lines("@ts-expect-error\n// @ts-ignore eslint-disable prettier-ignore # sourceMappingURL=x", 0);
        assert_eq!(
            shown,
            ["// @ ts-expect-error // @ ts-ignore eslint -disable prettier -ignore # sourceMapping URL=x"]
        );
        assert_eq!(lines("a */ b\r\u{2028}c \u{202e}d </script>", 0), ["// a * / b c d < /script>"]);
    }

    proptest! {
        #[test]
        fn nothing_breaks_out_of_a_comment(text in any::<String>()) {
            for line in lines(&text, 4) {
                prop_assert!(line.starts_with("// "));
                prop_assert!(!line.contains(['\n', '\r', '\u{2028}', '\u{2029}', '\u{85}']), "{line:?}");
                prop_assert!(!line.contains("*/") && !line.contains("</"), "{line:?}");
            }
        }
    }
}
