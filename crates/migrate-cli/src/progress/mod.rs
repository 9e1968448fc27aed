//! Progress: a line for each table on a terminal, a plain line every ten seconds without one.

pub(crate) mod amounts;
mod board;
mod layout;
mod rate;
mod retries;
#[cfg(test)]
mod tests;
mod work;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use migrate_core::names::TableName;
use migrate_core::observe::{Event, Observer};
use migrate_core::plan::Plan;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use self::board::{Activity, Board};
use self::layout::Layout;
use self::retries::Retries;
pub(crate) use self::work::Work;
use crate::output;

/// Without a terminal, a line this often.
const PLAIN_INTERVAL: Duration = Duration::from_secs(10);
/// A terminal is drawn this often.
const DRAW_INTERVAL: Duration = Duration::from_millis(200);
/// Part of an activity after which it is told anew without a terminal, in percent.
const TOLD_PERCENT: u64 = 10;

/// Shows how the work on all tables stands, until it is dropped or finished.
#[derive(Debug)]
pub(crate) struct Progress {
    inner: Arc<Inner>,
    ticker: JoinHandle<()>,
}

#[derive(Debug)]
struct Inner {
    screen: Screen,
    started: Instant,
    board: Mutex<Board>,
    retries: Mutex<Retries>,
    told: Mutex<String>,
    /// Somebody is asked something: nothing is drawn.
    is_aside: AtomicBool,
}

/// Where it is shown.
enum Screen {
    /// Lines that are drawn anew.
    Terminal(ProgressBar),
    /// One line after the other.
    Plain(Box<dyn Fn(&str) + Send + Sync>),
}

impl std::fmt::Debug for Screen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Terminal(_) => "Terminal",
            Self::Plain(_) => "Plain",
        })
    }
}

impl Progress {
    /// Shows nothing where `quiet`. Must be called within a runtime, which draws it.
    pub(crate) fn new(quiet: bool, plan: &Plan, work: Work) -> Option<Self> {
        if quiet {
            return None;
        }
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        let screen = match ProgressStyle::with_template("{msg}") {
            Ok(style) if !bar.is_hidden() => {
                bar.set_style(style);
                output::draw_above(Some(bar.clone()));
                Screen::Terminal(bar)
            }
            _ => Screen::Plain(Box::new(output::note)),
        };
        Some(Self::on(screen, work, plan.tables.iter().map(|table| table.source.clone())))
    }

    fn on(screen: Screen, work: Work, tables: impl IntoIterator<Item = TableName>) -> Self {
        let inner = Arc::new(Inner {
            screen,
            started: Instant::now(),
            board: Mutex::new(Board::new(work, tables)),
            retries: Mutex::default(),
            told: Mutex::default(),
            is_aside: AtomicBool::new(false),
        });
        let ticker = tokio::spawn(Arc::clone(&inner).tick());
        Self { inner, ticker }
    }

    /// Says how large tables are, where that is known before they begin.
    pub(crate) fn estimate(&self, rows: impl Fn(&TableName) -> Option<u64>) {
        locked(&self.inner.board).estimate(rows);
    }

    /// Says which tables have a turn.
    pub(crate) fn select(&self, is_selected: impl Fn(&TableName) -> bool) {
        locked(&self.inner.board).select(is_selected);
    }

    /// Tells of a step beside the tables; an empty text ends it.
    pub(crate) fn activity(&self, what: &str, part: Option<(u64, u64)>) {
        let activity = (!what.is_empty()).then(|| Activity { what: what.to_owned(), part });
        locked(&self.inner.board).activity = activity;
        let Screen::Plain(write) = &self.inner.screen else { return };
        let line = match part {
            Some((done, all)) => {
                let percent = amounts::percent(done, all);
                format!("{what}: {} %", percent - percent % TOLD_PERCENT)
            }
            None => what.to_owned(),
        };
        let mut told = locked(&self.inner.told);
        if *told != line && !line.is_empty() {
            write(&line);
        }
        *told = line;
    }

    /// Draws nothing while `ask` waits for a person's answer.
    pub(crate) fn aside<T>(&self, ask: impl FnOnce() -> T) -> T {
        self.inner.is_aside.store(true, Ordering::SeqCst);
        if let Screen::Terminal(bar) = &self.inner.screen {
            bar.set_message("");
            bar.tick();
        }
        let answer = ask();
        self.inner.is_aside.store(false, Ordering::SeqCst);
        answer
    }

    /// Takes the lines away.
    pub(crate) fn finish(&self) {
        self.ticker.abort();
        if let Screen::Terminal(bar) = &self.inner.screen {
            output::draw_above(None);
            bar.finish_and_clear();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.finish();
    }
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Inner {
    async fn tick(self: Arc<Self>) {
        let every = match self.screen {
            Screen::Terminal(_) => DRAW_INTERVAL,
            Screen::Plain(_) => PLAIN_INTERVAL,
        };
        let mut ticks = interval_at(Instant::now() + every, every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut layout = Layout::default();
        loop {
            ticks.tick().await;
            self.show(&mut layout);
        }
    }

    fn show(&self, layout: &mut Layout) {
        if self.is_aside.load(Ordering::SeqCst) {
            return;
        }
        let at = self.started.elapsed();
        match &self.screen {
            Screen::Terminal(bar) => {
                let (width, height) = output::screen_size();
                let lines = {
                    let board = locked(&self.board);
                    // Before the first table there is nothing to show but the checks.
                    if board.has_begun() { layout.lines(&board, at, width, height) } else { Vec::new() }
                };
                bar.set_message(lines.join("\n"));
                bar.tick();
            }
            Screen::Plain(write) => {
                let line = {
                    let board = locked(&self.board);
                    board.has_begun().then(|| layout::plain(&board, at))
                };
                if let Some(line) = line {
                    write(&line);
                }
            }
        }
    }

    fn note(&self, line: &str) {
        match &self.screen {
            Screen::Terminal(_) => output::note(line),
            Screen::Plain(write) => write(line),
        }
    }
}

impl Observer for Progress {
    fn on_event(&self, event: &Event) {
        let at = self.inner.started.elapsed();
        locked(&self.inner.board).on_event(event, at);
        let note = match event {
            Event::Retried { operation, table, attempt, delay, code, .. } => {
                locked(&self.inner.retries).note(at, operation, table.as_ref(), *attempt, *delay, code)
            }
            Event::LinkingStarted { table } if matches!(self.inner.screen, Screen::Plain(_)) => {
                Some(format!("{table}: setting the links that were cut"))
            }
            _ => None,
        };
        if let Some(note) = note {
            self.inner.note(&note);
        }
    }
}
