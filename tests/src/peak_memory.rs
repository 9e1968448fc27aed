//! The peak memory of a program, measured from outside.

use std::fs;
use std::process::{Child, Command, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

use crate::local_stack::{Error, Result};

/// The kernel keeps the peak; only what a program takes for the first time in its last moments can be missed.
const SAMPLE_EVERY: Duration = Duration::from_millis(10);

/// How a program ran.
#[derive(Debug, Clone, Copy)]
pub struct Measured {
    /// How it ended.
    pub status: ExitStatus,
    /// How long it ran.
    pub elapsed: Duration,
    /// The most memory it ever had resident at once, in bytes.
    pub peak_bytes: u64,
}

/// Runs a program to its end. Blocks; what the program prints goes where `command` says.
///
/// The peak is `VmHWM` of `/proc/<pid>/status` (man page `proc_pid_status(5)`), read until the end. The `ru_maxrss` of
/// `wait4` would not do: it also holds the peak of the process that started the program.
///
/// # Errors
/// When it cannot be started, or ends before its memory could be read. Not when it fails.
pub fn run_measured(command: &mut Command) -> Result<Measured> {
    let name = command.get_program().to_string_lossy().into_owned();
    let failed = |error: std::io::Error| Error::new(format!("failed to run {name}: {error}"));
    let started = Instant::now();
    let mut child = command.spawn().map_err(failed)?;
    let mut peak_bytes = 0;
    let status = loop {
        peak_bytes = peak_bytes.max(peak_of(&child).unwrap_or_default());
        if let Some(status) = child.try_wait().map_err(failed)? {
            break status;
        }
        thread::sleep(SAMPLE_EVERY);
    };
    if peak_bytes == 0 {
        return Err(Error::new(format!("failed to measure {name}: /proc/<pid>/status never showed its memory")));
    }
    Ok(Measured { status, elapsed: started.elapsed(), peak_bytes })
}

/// The peak so far in bytes; `None` once the program has ended, and on systems without `/proc`.
fn peak_of(child: &Child) -> Option<u64> {
    peak_in(&fs::read_to_string(format!("/proc/{}/status", child.id())).ok()?)
}

/// The line `VmHWM:     12345 kB`, whose unit is 1,024 bytes.
fn peak_in(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_kernels_line() {
        assert_eq!(
            peak_in("Name:\tsh\nVmPeak:\t   9000 kB\nVmHWM:\t    1536 kB\nVmRSS:\t      4 kB\n"),
            Some(1_572_864)
        );
        assert_eq!(peak_in("Name:\tsh\nState:\tZ (zombie)\n"), None);
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
}
