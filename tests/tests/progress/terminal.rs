//! In a real terminal, by tmux, where it is installed.

use std::process::Command;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::Planned;

/// A session of a tmux server of its own.
struct Terminal {
    socket: String,
}

impl Terminal {
    /// Runs a command in a terminal of this size, and stays open when it ends.
    fn open(name: &str, columns: usize, lines: usize, command: &Command) -> Self {
        let terminal = Self { socket: format!("migrate-{name}-{}", std::process::id()) };
        let mut tmux = terminal.tmux(&["-f", "/dev/null", "new-session", "-d"]);
        tmux.args(["-x", &columns.to_string(), "-y", &lines.to_string()]);
        for (variable, value) in command.get_envs() {
            let value = value.unwrap_or_default().to_str().unwrap();
            tmux.args(["-e", &format!("{}={value}", variable.to_str().unwrap())]);
        }
        tmux.arg("-c").arg(command.get_current_dir().unwrap());
        let words = std::iter::once(command.get_program()).chain(command.get_args());
        let words: Vec<String> = words.map(|word| format!("'{}'", word.to_str().unwrap())).collect();
        tmux.arg(format!("{}; echo ended with $?; sleep 120", words.join(" ")));
        let output = tmux.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        terminal
    }

    fn tmux(&self, arguments: &[&str]) -> Command {
        let mut tmux = Command::new("tmux");
        tmux.args(["-u", "-L", &self.socket]).args(arguments);
        tmux
    }

    /// What it shows now.
    fn screen(&self) -> Vec<String> {
        let output = self.tmux(&["capture-pane", "-p"]).output().unwrap();
        String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
    }

    /// The first screen that has what is waited for, and all before it.
    async fn until(&self, wanted: impl Fn(&str) -> bool) -> Vec<Vec<String>> {
        let last = Instant::now() + Duration::from_mins(1);
        let mut screens = Vec::new();
        loop {
            screens.push(self.screen());
            let newest = screens.last().unwrap();
            if newest.iter().any(|line| wanted(line)) {
                return screens;
            }
            assert!(Instant::now() < last, "it never came; the terminal shows:\n{}", newest.join("\n"));
            sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.tmux(&["kill-server"]).output();
    }
}

fn is_installed() -> bool {
    Command::new("tmux").arg("-V").output().is_ok_and(|output| output.status.success())
}

fn is_total(line: &str) -> bool {
    line.starts_with("total ") && line.contains(" %")
}

/// Of a line of progress, the part in percent.
fn percent(line: &str) -> Option<u64> {
    let (before, _) = line.split_once(" %")?;
    before.rsplit([' ', '~']).next()?.parse().ok()
}

async fn shows_progress(name: &str, columns: usize, lines: usize) {
    if !is_installed() {
        eprintln!("left out: there is no tmux");
        return;
    }
    let planned = Planned::with_bell(Duration::from_millis(100)).await;
    let terminal = Terminal::open(name, columns, lines, &planned.program("migrate-run", &[]));
    let screens = terminal.until(|line| line.starts_with("ended with")).await;
    let running: Vec<&Vec<String>> = screens.iter().filter(|screen| screen.iter().any(|line| is_total(line))).collect();
    assert!(running.len() > 10, "it is shown while it goes on: {} of {}", running.len(), screens.len());
    let mut orders = 0;
    let mut last_percent = 0;
    for screen in &running[..running.len() - 1] {
        let shown = screen.join("\n");
        let totals: Vec<&String> = screen.iter().filter(|line| is_total(line)).collect();
        assert_eq!(totals.len(), 1, "no line is left behind:\n{shown}");
        assert!(screen.iter().all(|line| line.chars().count() <= columns), "{shown}");
        for table in ["customers ", "orders "] {
            assert!(screen.iter().filter(|line| line.starts_with(table)).count() <= 1, "{shown}");
        }
        for line in screen.iter().filter(|line| is_total(line)) {
            let percent = percent(line).unwrap_or_else(|| panic!("{line}"));
            assert!(percent <= 100 && percent >= last_percent, "{last_percent} %, then\n{shown}");
            last_percent = percent;
        }
        orders += usize::from(screen.iter().any(|line| line.starts_with("orders ") && line.contains("copying")));
    }
    assert!(orders > 5, "the largest table has its line: {:?}", running.last());
    // The name that would clear the screen is only read.
    assert!(screens.iter().flatten().any(|line| line.contains("bell\\u{7}\\u{1b}[2J")), "{:?}", running[1]);
    if columns >= 120 {
        assert!(running.iter().any(|screen| screen.iter().any(|line| line.contains("█"))), "{:?}", running.last());
    }
    // What is left is the report.
    let end = screens.last().unwrap().join("\n");
    assert!(end.contains("ended with 3") && end.contains("complete, with findings"), "{end}");
    assert!(!end.contains("copying") && !end.contains("/s "), "{end}");
    if let Ok(folder) = std::env::var("PROGRESS_SCREENS") {
        let middle = running[running.len() / 2].join("\n");
        std::fs::write(format!("{folder}/{name}.txt"), format!("{middle}\n=====\n{end}\n")).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_of_80_columns_shows_a_line_for_each_table() {
    shows_progress("narrow", 80, 24).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_of_200_columns_shows_bars() {
    shows_progress("wide", 200, 50).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_of_three_lines_shows_the_total() {
    if !is_installed() {
        eprintln!("left out: there is no tmux");
        return;
    }
    let planned = Planned::with_bell(Duration::from_millis(20)).await;
    let terminal = Terminal::open("low", 40, 3, &planned.program("migrate-run", &["--tables", "orders,customers"]));
    let screens = terminal.until(is_total).await;
    assert_eq!(screens.last().unwrap().iter().filter(|line| is_total(line)).count(), 1);
    terminal.until(|line| line.starts_with("ended with")).await;
}
