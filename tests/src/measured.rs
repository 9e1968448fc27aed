//! What a program takes, measured from outside: time, processor time and memory.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

use crate::local_stack::{Error, Result};

/// The kernel keeps a process' peak; only what it takes for the first time in its last moments can be missed.
const SAMPLE_EVERY: Duration = Duration::from_millis(10);
/// The unit of times in `/proc/<pid>/stat` on every Linux that this stack runs on (`USER_HZ`): 10 ms.
const TICKS_PER_SECOND: u32 = 100;

/// How a program ran.
#[derive(Debug, Clone, Copy)]
pub struct Measured {
    /// How it ended.
    pub status: ExitStatus,
    /// How long it ran.
    pub elapsed: Duration,
    /// The processor time that it took, in its own code and in the kernel, with that of the programs it waited for.
    pub cpu: Duration,
    /// The most memory it ever had resident at once, in bytes. Where it ran other programs, theirs is added: as far as
    /// samples show it, and with what they share counted for each.
    pub peak_bytes: u64,
}

/// Runs a program to its end. Blocks; what the program prints goes where `command` says.
///
/// The peak is `VmHWM` of `/proc/<pid>/status` (man page `proc_pid_status(5)`), read until the end. The `ru_maxrss` of
/// `wait4` would not do: it also holds the peak of the process that started the program. The processor time is read of
/// the program that has ended and was not waited for yet (`proc_pid_stat(5)`).
///
/// # Errors
/// When it cannot be started, or ends before its memory could be read. Not when it fails.
pub fn run_measured(command: &mut Command) -> Result<Measured> {
    let name = command.get_program().to_string_lossy().into_owned();
    let failed = |error: std::io::Error| Error::new(format!("failed to run {name}: {error}"));
    let started = Instant::now();
    let mut child = command.spawn().map_err(failed)?;
    let root = child.id();
    let mut peak_bytes = 0;
    let mut cpu = None;
    while cpu.is_none() {
        peak_bytes = peak_bytes.max(status_of(root, "VmHWM:").unwrap_or_default()).max(resident(root));
        let stat = fs::read_to_string(format!("/proc/{root}/stat")).ok();
        let stat = stat.as_deref().and_then(Stat::parse);
        let Some(stat) = stat else { break };
        if stat.has_ended {
            cpu = Some(stat.cpu);
        } else {
            thread::sleep(SAMPLE_EVERY);
        }
    }
    let elapsed = started.elapsed();
    let status = child.wait().map_err(failed)?;
    match cpu {
        Some(cpu) if peak_bytes > 0 => Ok(Measured { status, elapsed, cpu, peak_bytes }),
        _ => Err(Error::new(format!("failed to measure {name}: /proc/<pid> never showed its memory or its time"))),
    }
}

/// As [`run_measured`], without blocking: what the program prints goes into `log`.
///
/// # Errors
/// As there; and when the program fails, with what it printed.
pub async fn run_logged(mut command: Command, log: &Path) -> Result<Measured> {
    let name = command.get_program().to_string_lossy().into_owned();
    let failed = |error: &dyn std::fmt::Display| Error::new(format!("failed to run {name}: {error}"));
    let file = File::create(log).map_err(|error| failed(&error))?;
    command.stdout(file.try_clone().map_err(|error| failed(&error))?).stderr(file);
    let measured = tokio::task::spawn_blocking(move || run_measured(&mut command)).await;
    let measured = measured.map_err(|error| failed(&error))??;
    if !measured.status.success() {
        let printed = fs::read_to_string(log).unwrap_or_default();
        return Err(Error::new(format!("{name} ended with {}:\n{printed}", measured.status)));
    }
    Ok(measured)
}

/// The memory of a process and of all below it at this moment.
fn resident(process: u32) -> u64 {
    let own = status_of(process, "VmRSS:").unwrap_or_default();
    children(process).into_iter().map(resident).sum::<u64>() + own
}

/// Processes that the threads of this one started.
fn children(process: u32) -> Vec<u32> {
    let threads = fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten();
    let lists = threads.filter_map(|thread| fs::read_to_string(thread.ok()?.path().join("children")).ok());
    let lists: Vec<String> = lists.collect();
    lists.iter().flat_map(|list| list.split_whitespace()).filter_map(|id| id.parse().ok()).collect()
}

/// A size in bytes; `None` once the process has ended, and on systems without `/proc`.
fn status_of(process: u32, line: &str) -> Option<u64> {
    size_in(&fs::read_to_string(format!("/proc/{process}/status")).ok()?, line)
}

/// A line such as `VmHWM:     12345 kB`, whose unit is 1,024 bytes.
fn size_in(status: &str, line: &str) -> Option<u64> {
    let line = status.lines().find_map(|found| found.strip_prefix(line))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

/// What `/proc/<pid>/stat` says.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    has_ended: bool,
    cpu: Duration,
}

impl Stat {
    fn parse(text: &str) -> Option<Self> {
        // The name stands in brackets and may hold anything, brackets too.
        let (_, fields) = text.rsplit_once(')')?;
        let mut fields = fields.split_whitespace();
        let has_ended = matches!(fields.next()?, "Z" | "X");
        // Fields 14 to 17: utime, stime, cutime, cstime. The state was field 3.
        let times: Vec<u32> = fields.skip(10).take(4).map_while(|field| field.parse().ok()).collect();
        let ticks = (times.len() == 4).then(|| times.iter().sum::<u32>())?;
        Some(Self { has_ended, cpu: Duration::from_secs(1) * ticks / TICKS_PER_SECOND })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_kernels_lines() {
        let status = "Name:\tsh\nVmPeak:\t   9000 kB\nVmHWM:\t    1536 kB\nVmRSS:\t      4 kB\n";
        assert_eq!(size_in(status, "VmHWM:"), Some(1_572_864));
        assert_eq!(size_in(status, "VmRSS:"), Some(4_096));
        assert_eq!(size_in("Name:\tsh\nState:\tZ (zombie)\n", "VmHWM:"), None);
        let stat = "7 (a) Z (b) Z 1 7 7 0 -1 4228300 5 6 0 0 150 25 300 1 20 0 1 0 99 0 0";
        assert_eq!(Stat::parse(stat), Some(Stat { has_ended: true, cpu: Duration::from_millis(4_760) }));
        assert_eq!(Stat::parse("7 (a) R 1 7 7"), None);
    }

    #[test]
    fn sees_what_a_program_takes_and_gives_back() {
        // The text is 32 MiB, and is gone before the program ends.
        let script = "text=$(head -c 33554432 /dev/zero | tr '\\0' x); unset text; sleep 0.2; exit 3";
        let measured = run_measured(Command::new("/bin/sh").args(["-c", script])).unwrap();
        assert_eq!(measured.status.code(), Some(3));
        assert!(measured.peak_bytes > 32 << 20, "{} bytes", measured.peak_bytes);
        assert!(measured.elapsed > Duration::from_millis(200));
    }

    #[test]
    fn programs_that_a_program_runs_count_as_its_own() {
        // The inner shell says by `times` what it and its children took; the outer one only waits for it.
        let script = "text=$(head -c 33554432 /dev/zero | tr '\\0' x); sleep 0.2; times";
        let folder = tempfile::tempdir().unwrap();
        let printed = folder.path().join("times");
        let mut outer = Command::new("/bin/sh");
        outer.args(["-c", "/bin/sh -c \"$1\"; exit 0", "sh", script]).stdout(File::create(&printed).unwrap());
        let measured = run_measured(&mut outer).unwrap();
        assert!(measured.peak_bytes > 32 << 20, "{} bytes", measured.peak_bytes);
        let told: f64 = fs::read_to_string(&printed)
            .unwrap()
            .split_whitespace()
            .map(|time| {
                let (minutes, seconds) = time.trim_end_matches('s').split_once('m').unwrap();
                minutes.parse::<f64>().unwrap() * 60.0 + seconds.parse::<f64>().unwrap()
            })
            .sum();
        let found = measured.cpu.as_secs_f64();
        // Each of the four times is cut to a hundredth, on both sides.
        assert!((found - told).abs() < 0.1, "{found} s, and the shell says {told} s");
    }

    #[tokio::test]
    async fn a_program_that_fails_is_told_with_what_it_printed() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "echo of no use >&2; sleep 0.05; exit 4"]);
        let error = run_logged(command, &folder.path().join("log")).await.unwrap_err().to_string();
        assert!(error.contains("exit status: 4") && error.ends_with("of no use\n"), "{error}");
    }
}
