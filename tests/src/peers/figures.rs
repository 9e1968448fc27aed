//! The figures of some runs, and the tables that show them.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::contender::CONTENDERS;
use crate::measured::Measured;

const MIB: f64 = 1_048_576.0;
const MILLION: f64 = 1_000_000.0;

/// What one run took.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// Seconds from start to end.
    pub wall_s: f64,
    /// Seconds of processor time.
    pub cpu_s: f64,
    /// Peak memory.
    pub peak_mib: f64,
}

impl From<Measured> for Sample {
    fn from(measured: Measured) -> Self {
        let Measured { elapsed, cpu, peak_bytes, .. } = measured;
        #[expect(clippy::cast_precision_loss, reason = "one digit after the point is shown")]
        let peak_mib = peak_bytes as f64 / MIB;
        Self { wall_s: elapsed.as_secs_f64(), cpu_s: cpu.as_secs_f64(), peak_mib }
    }
}

/// The runs of one contender.
#[derive(Debug, Clone, PartialEq)]
pub struct Figures {
    /// Its name.
    pub name: &'static str,
    /// Rows of each run.
    pub rows: u32,
    /// One for each run; there is at least one.
    pub samples: Vec<Sample>,
}

/// The least, the middle and the most of some numbers. Of an even number of them, the lower middle.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Spread {
    min: f64,
    median: f64,
    max: f64,
}

impl Figures {
    fn spread(&self, of: impl Fn(&Sample) -> f64) -> Spread {
        let mut numbers: Vec<f64> = self.samples.iter().map(of).collect();
        numbers.sort_by(f64::total_cmp);
        let at = |position: usize| numbers.get(position).copied().unwrap_or(f64::NAN);
        let last = numbers.len().saturating_sub(1);
        Spread { min: at(0), median: at(last / 2), max: at(last) }
    }

    fn wall(&self) -> Spread {
        self.spread(|sample| sample.wall_s)
    }

    /// The median is that of the run with the median time, also of an even number of runs.
    fn rows_per_second(&self) -> Spread {
        let Spread { min, median, max } = self.wall();
        let rate = |seconds: f64| f64::from(self.rows) / seconds;
        Spread { min: rate(max), median: rate(median), max: rate(min) }
    }

    fn cpu_per_million(&self) -> Spread {
        self.spread(|sample| sample.cpu_s * MILLION / f64::from(self.rows))
    }

    fn peak(&self) -> Spread {
        self.spread(|sample| sample.peak_mib)
    }

    fn cells(&self) -> [String; 5] {
        [
            self.name.to_owned(),
            whole(f64::from(self.rows)),
            shown(self.rows_per_second(), whole),
            shown(self.cpu_per_million(), |number| format!("{number:.2}")),
            shown(self.peak(), |number| format!("{number:.0}")),
        ]
    }
}

const HEADS: [&str; 5] = ["", "rows", "rows/s", "CPU s per million", "peak MiB"];

/// `median (min–max)`.
fn shown(spread: Spread, number: impl Fn(f64) -> String) -> String {
    let Spread { min, median, max } = spread;
    format!("{} ({}–{})", number(median), number(min), number(max))
}

/// A number without its fraction, with a comma at each thousand.
pub(super) fn whole(number: f64) -> String {
    let digits = format!("{number:.0}");
    let first = digits.len() % 3;
    let (head, rest) = digits.split_at(first);
    let groups = rest.as_bytes().chunks(3).map(|group| String::from_utf8_lossy(group).into_owned());
    let groups: Vec<String> = std::iter::once(head.to_owned()).filter(|head| !head.is_empty()).chain(groups).collect();
    groups.join(",")
}

/// The table for a terminal.
#[must_use]
pub fn text(figures: &[Figures]) -> String {
    let rows: Vec<[String; 5]> =
        std::iter::once(HEADS.map(str::to_owned)).chain(figures.iter().map(Figures::cells)).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: [usize; 5] = std::array::from_fn(width);
    let mut table = String::new();
    for row in &rows {
        let [name, numbers @ ..] = row;
        let _ = write!(table, "{name:<width$}", width = widths[0]);
        for (number, width) in numbers.iter().zip(&widths[1..]) {
            let _ = write!(table, "  {number:>width$}");
        }
        table.push('\n');
    }
    table
}

/// The page for `benchmarks/RESULTS.md`.
#[must_use]
pub fn markdown(machine: &str, figures: &[Figures], remarks: &[String]) -> String {
    let mut page = format!(
        "# Results\n\nMade by `cargo peers`: [what is measured](README.md). Medians of {} runs, with minimum and \
         maximum.\n\n{machine}.\n\n| name | what | rows | rows/s | CPU s per million | peak MiB |\n|---|---|---:|---:|---:|---:|\n",
        figures.iter().map(|figures| figures.samples.len()).max().unwrap_or_default(),
    );
    for figures in figures {
        let [name, numbers @ ..] = figures.cells();
        let what = CONTENDERS.iter().find(|contender| contender.name == name).map_or("", |contender| contender.what);
        let _ = writeln!(page, "| `{name}` | {what} | {} |", numbers.join(" | "));
    }
    for remark in remarks {
        let _ = write!(page, "\n- {remark}");
    }
    if !remarks.is_empty() {
        page.push('\n');
    }
    page
}

/// The results for programs.
#[must_use]
pub fn json(machine: &str, figures: &[Figures]) -> Value {
    let results = figures.iter().map(|figures| {
        let Spread { min, median, max } = figures.wall();
        json!({
            "name": figures.name,
            "rows": figures.rows,
            "rows_per_s": figures.rows_per_second().median,
            "cpu_s_per_million": figures.cpu_per_million().median,
            "peak_rss_mib": figures.peak().median,
            "wall_s": [min, median, max],
        })
    });
    json!({ "machine": machine, "results": results.collect::<Vec<Value>>() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sling() -> Figures {
        let sample = |wall_s, cpu_s, peak_mib| Sample { wall_s, cpu_s, peak_mib };
        Figures {
            name: "sling",
            rows: 500_000,
            samples: vec![sample(10.0, 6.0, 90.5), sample(5.0, 8.0, 80.0), sample(8.0, 7.0, 100.0)],
        }
    }

    #[test]
    fn programs_get_medians() {
        let expected = json!({ "machine": "a PC", "results": [{
            "name": "sling", "rows": 500_000, "rows_per_s": 62_500.0, "cpu_s_per_million": 14.0,
            "peak_rss_mib": 90.5, "wall_s": [5.0, 8.0, 10.0],
        }]});
        assert_eq!(json("a PC", &[sling()]), expected);
    }

    #[test]
    fn people_get_medians_with_their_spread() {
        let row = "sling  500,000  62,500 (50,000–100,000)  14.00 (12.00–16.00)  90 (80–100)\n";
        assert!(text(&[sling()]).ends_with(row), "{}", text(&[sling()]));
        let page = markdown("a PC", &[sling()], &["dlt is left out".to_owned()]);
        assert!(page.contains("Medians of 3 runs"));
        assert!(page.contains(
            "| `sling` | sling: Postgres → JSONL | 500,000 | 62,500 (50,000–100,000) | 14.00 (12.00–16.00) | 90 (80–100) |"
        ), "{page}");
        assert!(page.ends_with("\n- dlt is left out\n"));
    }

    #[test]
    fn thousands_are_set_apart() {
        assert_eq!(
            ["0", "12", "999", "1000", "1234567"].map(|n| whole(n.parse().unwrap())),
            ["0", "12", "999", "1,000", "1,234,567"]
        );
    }
}
