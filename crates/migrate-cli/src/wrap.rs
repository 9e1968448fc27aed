//! Text in lines of a terminal's width.

use unicode_width::UnicodeWidthStr as _;

/// Breaks text at its spaces into lines of at most `width` columns. A longer word has a line of its own, unbroken.
pub(crate) fn words(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        match lines.last_mut() {
            Some(line) if line.width() + 1 + word.width() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// The lead and then as many items as go into `line_count` lines, with commas; the others are counted: "and 3 more".
pub(crate) fn list(lead: &str, items: &[String], width: usize, line_count: usize) -> Vec<String> {
    let first_guess = items.len().min(width.saturating_mul(line_count));
    let showing = |shown: usize| {
        let more = items.len() - shown;
        let tail = if more > 0 { format!(" and {more} more") } else { String::new() };
        let shown = items.iter().take(shown).map(String::as_str).collect::<Vec<_>>().join(", ");
        words(&format!("{lead} {shown}{tail}"), width)
    };
    let fits = |shown: &usize| showing(*shown).len() <= line_count;
    showing((1..=first_guess).rev().find(fits).unwrap_or(1).min(items.len()))
}

/// Wraps each line of a text that is wider than the terminal; what is broken off is indented below it.
pub(crate) fn paragraphs(text: &str, width: usize) -> String {
    const INDENT: &str = "  ";
    let mut lines = Vec::new();
    for line in text.lines() {
        if line.width() <= width {
            lines.push(line.to_owned());
            continue;
        }
        let own = line.chars().take_while(|char| *char == ' ').collect::<String>();
        let broken = words(line, width.saturating_sub(own.len() + INDENT.len()));
        let indented = broken.into_iter().enumerate().map(|(position, part)| {
            let more = if position == 0 { "" } else { INDENT };
            format!("{own}{more}{part}")
        });
        lines.extend(indented);
    }
    lines.join("\n")
}

/// A name of at most `width` columns; of a longer one the ends, which tell names apart.
pub(crate) fn shorten(name: &str, width: usize) -> String {
    if name.width() <= width {
        return name.to_owned();
    }
    let room = width.saturating_sub(1);
    let take = |chars: &mut dyn Iterator<Item = char>, room: usize| -> Vec<char> {
        let mut used = 0;
        let fits = |char: &char| {
            used += unicode_width::UnicodeWidthChar::width(*char).unwrap_or_default();
            used <= room
        };
        chars.take_while(fits).collect()
    };
    let tail = take(&mut name.chars().rev(), room / 2);
    let head = take(&mut name.chars(), room - room / 2);
    head.into_iter().chain(std::iter::once('…')).chain(tail.into_iter().rev()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_not_broken() {
        assert_eq!(words("one two three", 7), ["one two", "three"]);
        assert_eq!(words("a unbreakable b", 5), ["a", "unbreakable", "b"]);
        assert_eq!(words("数 据 库", 5), ["数 据", "库"]);
        assert!(words(" ", 5).is_empty());
    }

    #[test]
    fn a_list_counts_what_it_leaves_out() {
        let items: Vec<String> = (1..=9).map(|number| format!("t{number}")).collect();
        assert_eq!(list("in", &items, 80, 1), ["in t1, t2, t3, t4, t5, t6, t7, t8, t9"]);
        assert_eq!(list("in", &items, 20, 1), ["in t1, t2 and 7 more"]);
        assert_eq!(list("in", &items, 17, 2), ["in t1, t2, t3,", "t4, t5 and 4 more"]);
        assert_eq!(list("in", &items, 4, 1), ["in", "t1", "and", "8", "more"]);
        assert_eq!(list("none", &[], 80, 1), ["none"]);
    }

    #[test]
    fn only_lines_that_are_too_wide_are_wrapped() {
        assert_eq!(paragraphs("short\n  kept   as it is", 20), "short\n  kept   as it is");
        assert_eq!(paragraphs("error: one two three", 10), "error:\n  one two\n  three");
        assert_eq!(paragraphs("  one two three four", 12), "  one two\n    three\n    four");
    }

    #[test]
    fn a_name_keeps_its_ends() {
        assert_eq!(shorten("ari_payments", 12), "ari_payments");
        assert_eq!(shorten("ari_knowledge_categories", 13), "ari_kn…gories");
        assert_eq!(shorten("数据库数据库", 7), "数…库");
    }
}
