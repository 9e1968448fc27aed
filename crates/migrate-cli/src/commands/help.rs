//! What every `--help` ends with.

use anstyle::Style;

use crate::exit::EXIT_CODES;
use crate::wrap;

/// Columns of the codes' meanings, where a terminal has 80.
const MEANING: usize = 75;

/// As clap writes its own headings.
const HEADING: Style = Style::new().bold().underline();

/// The exit codes of a command that ends no run.
pub(super) const SIMPLE: &[u8] = &[crate::exit::OK, crate::exit::UNEXPECTED, crate::exit::USAGE, crate::exit::SETUP];

/// The same, of a command that reads rows and can be stopped.
pub(super) const STOPPABLE: &[u8] =
    &[crate::exit::OK, crate::exit::UNEXPECTED, crate::exit::USAGE, crate::exit::SETUP, crate::exit::INTERRUPTED];

/// Examples, as commands and what they do, and the exit codes that the command has; all where `codes` is empty.
pub(super) fn after(examples: &[(&str, &str)], codes: &[u8]) -> String {
    let width = examples.iter().map(|(command, _)| command.len()).max().unwrap_or_default();
    let mut lines = vec![format!("{HEADING}Examples:{HEADING:#}")];
    lines.extend(examples.iter().map(|(command, what)| format!("  {command:<width$}  {what}").trim_end().to_owned()));
    lines.push(format!("\n{HEADING}Exit codes:{HEADING:#}"));
    let own = EXIT_CODES.iter().filter(|(code, _)| codes.is_empty() || codes.contains(code));
    lines.extend(own.map(|(code, means)| format!("  {code}  {}", wrap::words(means, MEANING).join("\n     "))));
    lines.join("\n")
}
