//! The only place that prints: stdout carries data, stderr everything else. Colours are left out where the reader is no
//! terminal or does not want them, and a terminal's control characters everywhere: names and answers may hold them.

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::{Mutex, PoisonError};

use anstyle::{AnsiColor, Style};
use clap::{Args, ValueEnum};
use indicatif::ProgressBar;
use migrate_core::Error;
use terminal_size::{Height, Width, terminal_size_of};
use unicode_width::UnicodeWidthStr as _;

use crate::{printable, wrap};

const ERROR: Style = AnsiColor::Red.on_default().bold();

/// How a command's output looks.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct OutputArguments {
    /// When to colour the output: auto, always or never
    ///
    /// `auto` colours on a terminal, unless NO_COLOR is set.
    #[expect(clippy::doc_markdown, reason = "the text is shown as help")]
    #[arg(long, value_enum, default_value_t = Color::Auto, value_name = "WHEN", hide_possible_values = true, display_order = 100)]
    color: Color,
}

/// When to colour.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Color {
    Auto,
    Always,
    Never,
}

impl OutputArguments {
    /// Sets it for all that is printed from now on.
    pub(crate) fn apply(self) {
        match self.color {
            Color::Auto => anstream::ColorChoice::Auto,
            Color::Always => anstream::ColorChoice::Always,
            Color::Never => anstream::ColorChoice::Never,
        }
        .write_global();
    }
}

/// Columns of the terminal that reads stdout; none where it is a file or a pipe.
pub(crate) fn width() -> Option<usize> {
    width_of(io::stdout().is_terminal(), terminal_size_of(io::stdout()))
}

fn width_of(is_terminal: bool, size: Option<(Width, Height)>) -> Option<usize> {
    size.filter(|_| is_terminal).map(|(Width(columns), _)| usize::from(columns)).filter(|columns| *columns > 0)
}

/// Lines that are drawn anew below all others. There is one terminal, so there is one of them.
static DRAWN: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// From now on, all that is printed goes above these lines; none takes that back.
pub(crate) fn draw_above(lines: Option<ProgressBar>) {
    *DRAWN.lock().unwrap_or_else(PoisonError::into_inner) = lines;
}

/// Prints while nothing is drawn.
fn above(print: impl FnOnce()) {
    let drawn = DRAWN.lock().unwrap_or_else(PoisonError::into_inner);
    match drawn.as_ref() {
        Some(lines) => lines.suspend(print),
        None => print(),
    }
}

/// Columns and lines of the terminal that reads stderr.
pub(crate) fn screen_size() -> (usize, usize) {
    const USUAL: (usize, usize) = (80, 24);
    let size = terminal_size_of(io::stderr()).filter(|(Width(columns), Height(lines))| *columns > 0 && *lines > 0);
    // One line is the prompt's.
    size.map_or(USUAL, |(Width(columns), Height(lines))| (columns.into(), usize::from(lines).saturating_sub(1)))
}

/// Writes a line for programs at once, and says whether somebody still reads.
pub(crate) fn event(line: &str) -> io::Result<()> {
    let mut written = Ok(());
    above(|| {
        let mut stdout = io::stdout().lock();
        written = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
    });
    written
}

/// Writes text with a line's end, which may have colours. A closed pipe is the reader's choice, not an error.
pub(crate) fn data(text: &str) {
    above(|| drop(writeln!(anstream::stdout().lock(), "{}", printable::coloured(text))));
}

/// Writes data for programs as it is.
pub(crate) fn json(text: &str) {
    above(|| drop(writeln!(io::stdout().lock(), "{text}")));
}

/// Writes a line of data that people read, wrapped on a terminal.
pub(crate) fn line(text: &str) {
    let text = printable::line(text);
    data(&match width() {
        Some(width) => wrap::paragraphs(&text, width),
        None => text.into_owned(),
    });
}

/// Writes a line for the person at the terminal.
pub(crate) fn note(line: &str) {
    styled_note(&printable::text(line));
}

/// As [`note`], with colours, of text that a terminal obeys in nothing.
pub(crate) fn styled_note(line: &str) {
    above(|| drop(writeln!(anstream::stderr().lock(), "{}", printable::coloured(line))));
}

/// Writes an error, wrapped on a terminal; elsewhere a line stays one, for those who search it.
pub(crate) fn error(message: &str) {
    let text = format!("error: {}", printable::text(message));
    let text = match error_width() {
        Some(width) => wrap::paragraphs(&text, width),
        None => text,
    };
    let rest = text.strip_prefix("error:").unwrap_or(&text);
    styled_note(&format!("{ERROR}error:{ERROR:#}{rest}"));
}

/// Writes what failed.
pub(crate) fn failure(failed: &Error) {
    error(&match error_width() {
        Some(width) => steps(failed, width),
        None => format!("failed to {failed}"),
    });
}

fn error_width() -> Option<usize> {
    width_of(io::stderr().is_terminal(), terminal_size_of(io::stderr()))
}

/// What failed, with the next step on a line of its own, and a command in it too where it would be broken: it is there
/// to be copied.
fn steps(failed: &Error, width: usize) -> String {
    const INDENT: usize = 2;
    let text = format!("failed to {failed}");
    let split = failed.remedy().and_then(|remedy| Some((text.strip_suffix(remedy)?.strip_suffix("; ")?, remedy)));
    let Some((what, remedy)) = split else { return text };
    match remedy.split_once("run: ") {
        Some((before, command)) if INDENT + remedy.width() > width => {
            format!("{what}\n  {before}run:\n    {command}")
        }
        _ => format!("{what}\n  {remedy}"),
    }
}

#[cfg(test)]
mod tests {
    use migrate_core::ErrorKind;

    use super::*;

    #[test]
    fn the_next_step_can_be_copied() {
        let failed = |remedy: &str| {
            Error::new(ErrorKind::Forbidden, "read the table").with_context("table", "orders").with_remedy(remedy)
        };
        let grant = failed("run: grant select on public.orders to service_role;");
        assert_eq!(
            steps(&grant, 80),
            "failed to read the table (table: orders)\n  run: grant select on public.orders to service_role;"
        );
        assert_eq!(
            steps(&grant, 50),
            "failed to read the table (table: orders)\n  run:\n    grant select on public.orders to service_role;"
        );
        let without = Error::new(ErrorKind::Unexpected, "go on");
        assert_eq!(steps(&without, 80), "failed to go on");
    }
}
