//! The fenced blocks of a page.

use std::path::{Path, PathBuf};

use crate::read;

/// A fenced block, and the comment that stands right before it: it tells the test what to do with it.
#[derive(Debug, Clone)]
pub struct Block {
    /// Page and line, for messages.
    pub place: String,
    /// What it is written in: `console`, `sql`, `toml`.
    pub language: String,
    /// The text of `<!-- … -->` before it.
    pub marker: Option<String>,
    /// Its lines.
    pub text: String,
}

/// All blocks of a page, in their order.
pub fn blocks(page: &Path) -> Vec<Block> {
    let text = read(page);
    let (mut found, mut open): (Vec<Block>, Option<Block>) = (Vec::new(), None);
    let mut marker = None;
    for (number, line) in text.lines().enumerate() {
        if let Some(mut block) = open.take() {
            if line == "```" {
                found.push(block);
            } else {
                block.text.push_str(line);
                block.text.push('\n');
                open = Some(block);
            }
            continue;
        }
        if let Some(language) = line.strip_prefix("```") {
            let place = format!("{}:{}", page.display(), number + 1);
            open = Some(Block { place, language: language.to_owned(), marker: marker.take(), text: String::new() });
        } else {
            marker = line.strip_prefix("<!-- ").and_then(|rest| rest.strip_suffix(" -->")).map(str::to_owned);
        }
    }
    assert!(open.is_none(), "{}: a block is not closed", page.display());
    found
}

impl Block {
    /// The file that the reader is to write it to.
    pub fn file(&self) -> Option<PathBuf> {
        self.marker.as_deref()?.strip_prefix("file: ").map(PathBuf::from)
    }

    /// The commands of a `console` block, each with the output that is shown for it.
    pub fn commands(&self) -> Vec<(String, Vec<String>)> {
        let mut commands: Vec<(String, Vec<String>)> = Vec::new();
        for line in self.text.lines() {
            match (line.strip_prefix("$ "), commands.last_mut()) {
                (Some(command), _) => commands.push((command.to_owned(), Vec::new())),
                (None, Some((_, output))) => output.push(line.to_owned()),
                (None, None) => panic!("{}: it begins with output", self.place),
            }
        }
        commands
    }
}

/// Whether an output is the one that is shown: a line `…` stands for any lines, `…` in a line for any text.
pub fn is_shown(shown: &[String], lines: &[&str]) -> bool {
    match shown.split_first() {
        None => lines.is_empty(),
        Some((first, rest)) if first == "…" => (0..=lines.len()).any(|skip| is_shown(rest, &lines[skip..])),
        Some((first, rest)) => {
            lines.split_first().is_some_and(|(line, left)| fits(first, line) && is_shown(rest, left))
        }
    }
}

fn fits(shown: &str, line: &str) -> bool {
    let Some((start, rest)) = shown.split_once('…') else { return shown == line.trim_end() };
    let Some(line) = line.strip_prefix(start) else { return false };
    let mut places = line.char_indices().map(|(at, _)| at).chain([line.len()]);
    places.any(|at| fits(rest, &line[at..]))
}

#[test]
fn shown_output_is_compared() {
    let shown: Vec<String> = ["a …", "…", "z"].map(str::to_owned).into();
    assert!(is_shown(&shown, &["a 1", "z"]) && is_shown(&shown, &["a ", "b", "c", "z"]));
    assert!(
        !is_shown(&shown, &["a 1", "b"]) && !is_shown(&shown, &["b 1", "z"]) && !is_shown(&shown, &["a 1", "z", "b"])
    );
}
