//! The lines that a terminal shows: a line for each table that something happens to, and the total below them.

use std::time::Duration;

use migrate_core::names::TableName;
use unicode_width::UnicodeWidthStr as _;

use super::amounts::{bytes, left};
use super::board::{Board, Counts, Phase};
use super::work::Work;
use crate::render::thousands;
use crate::{printable, wrap};

/// Columns between two cells.
const GAP: usize = 2;
/// Widest bar.
const BAR: usize = 30;
/// A name is shortened no further than this before a cell is left out.
const LEAST_NAME: usize = 14;
/// A name is never wider.
const MOST_NAME: usize = 40;

/// What a line says, in the order it says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cell {
    Phase,
    Rows,
    Of,
    Percent,
    Bytes,
    Rate,
    Left,
    Findings,
}

const CELLS: [Cell; 8] =
    [Cell::Phase, Cell::Rows, Cell::Of, Cell::Percent, Cell::Bytes, Cell::Rate, Cell::Left, Cell::Findings];

/// What a narrow terminal goes without, the first of them first.
const LEFT_OUT: [Cell; 7] = [Cell::Of, Cell::Bytes, Cell::Rate, Cell::Phase, Cell::Left, Cell::Percent, Cell::Findings];

impl Cell {
    fn text(self, work: Work, counts: &Counts, rate: Option<u64>, rest: Option<Duration>) -> String {
        let guess = if counts.is_estimate() { "~" } else { "" };
        let is_linking = counts.phase == Phase::Linking;
        match self {
            Self::Phase => counts.phase.word(work).to_owned(),
            Self::Rows => thousands(counts.read),
            Self::Of => counts.all().map(|all| format!("of {guess}{}", thousands(all))).unwrap_or_default(),
            Self::Percent => counts.percent().map(|percent| format!("{guess}{percent} %")).unwrap_or_default(),
            Self::Bytes if work.words().writes => bytes(counts.bytes),
            Self::Rate => match rate {
                Some(rate) if is_linking => format!("{} links/s", thousands(rate)),
                Some(rate) => format!("{}/s", thousands(rate)),
                None => String::new(),
            },
            Self::Left => rest.map(left).unwrap_or_default(),
            Self::Findings if counts.findings > 0 => {
                format!("{} {}", thousands(counts.findings), work.words().findings)
            }
            Self::Bytes | Self::Findings => String::new(),
        }
    }
}

/// One line before it is fitted.
struct Row {
    name: String,
    cells: Vec<String>,
    percent: Option<u64>,
}

impl Row {
    fn new(work: Work, name: &str, counts: &Counts, rate: Option<u64>, rest: Option<Duration>) -> Self {
        let cells = CELLS.iter().map(|cell| cell.text(work, counts, rate, rest)).collect();
        Self { name: printable::line(name).into_owned(), cells, percent: counts.percent() }
    }
}

/// Makes the lines. It remembers how wide each cell was, so that nothing jumps.
#[derive(Debug, Default)]
pub(super) struct Layout {
    widths: [usize; CELLS.len()],
    name: usize,
    screen: usize,
}

impl Layout {
    /// At most `height` lines, none wider than `width`.
    pub(super) fn lines(&mut self, board: &Board, at: Duration, width: usize, height: usize) -> Vec<String> {
        if self.screen != width {
            *self = Self { screen: width, ..Self::default() };
        }
        let total = board.total();
        let of_total = Row::new(board.work, "total", &total, board.rows_per_second(at), board.left(&total, at));
        let active: Vec<(&TableName, &Counts)> =
            board.tables().filter(|(_, counts)| counts.phase.is_active()).collect();
        let folded = folded(board);
        let activity = board.activity.as_ref().map(|activity| match activity.part {
            Some((part, whole)) => format!("{}: {} %", activity.what, super::amounts::percent(part, whole)),
            None => activity.what.clone(),
        });
        let below = usize::from(folded.is_some()) + usize::from(activity.is_some()) + 1;
        let room = height.saturating_sub(below);
        let shown = if active.len() > room { room.saturating_sub(1) } else { active.len() };
        let rows = active.iter().take(shown).map(|(name, counts)| {
            Row::new(board.work, &name.to_string(), counts, counts.rows_per_second(at), counts.left(at))
        });
        let rows: Vec<Row> = rows.chain([of_total]).collect();
        let mut fitted = self.fit(&rows, width);
        let last = fitted.pop();
        let mut lines = fitted;
        if active.len() > shown && room > 0 {
            lines.push(format!("and {} more at work", active.len() - shown));
        }
        lines.extend(folded.into_iter().chain(activity).map(|line| wrap::shorten(&printable::line(&line), width)));
        lines.extend(last);
        // Where the terminal is lower than that, the last lines say the most.
        lines.split_off(lines.len().saturating_sub(height.max(1)))
    }

    fn fit(&mut self, rows: &[Row], width: usize) -> Vec<String> {
        for row in rows {
            self.name = self.name.max(row.name.width()).min(MOST_NAME);
            for (known, cell) in self.widths.iter_mut().zip(&row.cells) {
                *known = (*known).max(cell.width());
            }
        }
        let mut kept: Vec<Cell> = CELLS.to_vec();
        let width_of = |cell: &Cell| {
            let known = CELLS.iter().position(|other| other == cell).and_then(|at| self.widths.get(at)).copied();
            known.filter(|width| *width > 0).map_or(0, |width| width + GAP)
        };
        let needed = |kept: &[Cell]| kept.iter().map(width_of).sum::<usize>();
        for left_out in LEFT_OUT {
            if self.name.min(LEAST_NAME) + needed(&kept) <= width {
                break;
            }
            kept.retain(|cell| *cell != left_out);
        }
        let name = self.name.min(width.saturating_sub(needed(&kept)));
        let bar = width.saturating_sub(name + needed(&kept) + GAP).min(BAR);
        let bar = if bar >= 10 { bar } else { 0 };
        rows.iter().map(|row| self.line(row, &kept, name, bar)).collect()
    }

    fn line(&self, row: &Row, kept: &[Cell], name: usize, bar: usize) -> String {
        let shown = wrap::shorten(&row.name, name);
        let mut line = format!("{shown}{}", " ".repeat(name.saturating_sub(shown.width())));
        for ((cell, text), width) in CELLS.iter().zip(&row.cells).zip(self.widths) {
            if !kept.contains(cell) || width == 0 {
                continue;
            }
            let pad = " ".repeat(width.saturating_sub(text.width()));
            line.push_str(&" ".repeat(GAP));
            match cell {
                Cell::Phase => line.extend([text.as_str(), &pad]),
                _ => line.extend([&pad, text.as_str()]),
            }
            if *cell == Cell::Phase && bar > 0 {
                line.push_str(&" ".repeat(GAP));
                line.push_str(&drawn(row.percent, bar));
            }
        }
        line.truncate(line.trim_end().len());
        line
    }
}

/// A bar of so many columns.
fn drawn(percent: Option<u64>, width: usize) -> String {
    let percent = usize::try_from(percent.unwrap_or_default()).unwrap_or_default().min(100);
    let full = width * percent / 100;
    format!("{}{}", "█".repeat(full), "░".repeat(width - full))
}

/// Tables that nothing happens to, in one line.
fn folded(board: &Board) -> Option<String> {
    let count = |phase: Phase| board.tables().filter(|(_, counts)| counts.phase == phase).count();
    let rows: u64 =
        board.tables().filter(|(_, counts)| counts.phase == Phase::Done).map(|(_, counts)| counts.read).sum();
    let done = count(Phase::Done);
    let mut parts = Vec::new();
    if done > 0 {
        let tables = if done == 1 { "table" } else { "tables" };
        let units = board.work.words().units;
        parts.push(format!("{done} {tables} done, {} {units}", thousands(rows)));
    }
    for (phase, what) in [
        (Phase::Copied, "copied, without links yet"),
        (Phase::Waiting, "waiting"),
        (Phase::Incomplete, "incomplete"),
        (Phase::Forbidden, "forbidden"),
        (Phase::Missing, "missing"),
    ] {
        let tables = count(phase);
        if tables > 0 {
            parts.push(format!("{tables} {what}"));
        }
    }
    (!parts.is_empty()).then(|| parts.join("; "))
}

/// All of it in one line, for logs.
pub(super) fn plain(board: &Board, at: Duration) -> String {
    const NAMED: usize = 3;
    let (total, words) = (board.total(), board.work.words());
    let (units, guess) = (words.units, if total.is_estimate() { "~" } else { "" });
    let mut parts = vec![match total.all() {
        Some(all) => format!("{} of {guess}{} {units}", thousands(total.read), thousands(all)),
        None => format!("{} {units}", thousands(total.read)),
    }];
    parts.extend(total.percent().map(|percent| format!("{guess}{percent} %")));
    parts.extend(words.writes.then(|| bytes(total.bytes)));
    parts.extend(board.rows_per_second(at).map(|rate| format!("{}{}", thousands(rate), words.rate)));
    parts.extend(board.left(&total, at).map(|rest| format!("{} left", left(rest))));
    parts.push(format!("{} {}", thousands(total.findings), words.findings));
    let mut active = board.tables().filter(|(_, counts)| counts.phase.is_active());
    let named: Vec<String> = active
        .by_ref()
        .take(NAMED)
        .map(|(name, counts)| {
            let guess = if counts.is_estimate() { "~" } else { "" };
            let percent = counts.percent().map(|percent| format!(" {guess}{percent} %")).unwrap_or_default();
            format!("{name} {}{percent}", counts.phase.word(board.work))
        })
        .collect();
    let more = active.count();
    let named = match (named.is_empty(), more) {
        (true, _) => String::new(),
        (false, 0) => format!("; {}", named.join(", ")),
        (false, more) => format!("; {} and {more} more", named.join(", ")),
    };
    let folded = folded(board).map(|folded| format!("; {folded}")).unwrap_or_default();
    format!("{}: {}{named}{folded}", total.phase.word(board.work), parts.join(", "))
}
