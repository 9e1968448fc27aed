//! Text from outside, made harmless and readable.
//!
//! Markup is escaped, in a way that holds in text and in attributes alike. Characters that show nothing or that turn
//! the text around them are named instead, so that no name can pose as another.
//! Letters that are written from right to left stay: the style isolates each name.

use std::fmt::{self, Write};

/// The text, safe between tags and inside quotes.
pub(super) fn text(raw: &str) -> String {
    let mut escaped = String::with_capacity(raw.len());
    // Writing into a string does not fail.
    let _ = write(&mut escaped, raw);
    escaped
}

/// As [`text`], for a name in the page's text: a line may end after each of its words.
pub(super) fn breakable(raw: &str) -> String {
    let mut escaped = String::with_capacity(raw.len());
    for word in raw.split_inclusive(['_', '.', '/', '-', ':']) {
        if !escaped.is_empty() {
            escaped.push_str("<wbr>");
        }
        let _ = write(&mut escaped, word);
    }
    escaped
}

/// Writes the text, safe between tags and inside quotes.
pub(super) fn write(out: &mut impl Write, raw: &str) -> fmt::Result {
    for letter in raw.chars() {
        match letter {
            '&' => out.write_str("&amp;")?,
            '<' => out.write_str("&lt;")?,
            '>' => out.write_str("&gt;")?,
            '"' => out.write_str("&quot;")?,
            '\'' => out.write_str("&#39;")?,
            '\n' => out.write_char('␊')?,
            '\t' => out.write_char('␉')?,
            '\r' => out.write_char('␍')?,
            _ if is_unseen(letter) => write!(out, "⟨U+{:04X}⟩", u32::from(letter))?,
            _ => out.write_char(letter)?,
        }
    }
    Ok(())
}

/// Characters without a shape of their own: controls, marks of direction, and spaces of no width.
fn is_unseen(letter: char) -> bool {
    letter.is_control()
        || matches!(letter,
            '\u{00AD}' | '\u{034F}' | '\u{061C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}'
            | '\u{180B}'..='\u{180F}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}'
            | '\u{2060}'..='\u{206F}' | '\u{3164}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{FFA0}'
            | '\u{FFF0}'..='\u{FFFB}' | '\u{FFFE}' | '\u{FFFF}' | '\u{E0000}'..='\u{E0FFF}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_is_text() {
        assert_eq!(
            text(r#"<img src=x onerror="a('b')"> & more"#),
            "&lt;img src=x onerror=&quot;a(&#39;b&#39;)&quot;&gt; &amp; more"
        );
    }

    #[test]
    fn names_may_be_broken_between_words() {
        assert_eq!(breakable("shop.order_lines"), "shop.<wbr>order_<wbr>lines");
        assert_eq!(breakable("</b_>"), "&lt;/<wbr>b_<wbr>&gt;");
        assert_eq!(breakable(""), "");
    }

    #[test]
    fn what_cannot_be_seen_is_named() {
        assert_eq!(text("a\u{202e}b\u{200b}c\u{0}d\u{7f}\u{85}"), "a⟨U+202E⟩b⟨U+200B⟩c⟨U+0000⟩d⟨U+007F⟩⟨U+0085⟩");
        assert_eq!(text("a\nb\tc\r"), "a␊b␉c␍");
        assert_eq!(text("שלום日本é"), "שלום日本é");
    }
}
