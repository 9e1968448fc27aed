//! The machine that figures are of.

use std::fmt;
use std::fs;

/// What figures depend on.
#[derive(Debug, Clone, PartialEq)]
pub struct Machine {
    processor: String,
    cores: usize,
    memory_gib: f64,
    system: String,
    load: f64,
}

impl Machine {
    /// This one, as the kernel describes it, and what else runs on it now.
    #[must_use]
    pub fn this() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let processor = value_of(&read("/proc/cpuinfo"), "model name");
        let kibibytes = value_of(&read("/proc/meminfo"), "MemTotal");
        let kibibytes = kibibytes.and_then(|value| value.strip_suffix(" kB")?.parse::<f64>().ok());
        Self {
            processor: processor.unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_gib: kibibytes.unwrap_or_default() / 1_048_576.0,
            system: format!("{} {}", std::env::consts::OS, version_of(&read("/proc/sys/kernel/osrelease"))),
            load: read("/proc/loadavg").split(' ').next().and_then(|load| load.parse().ok()).unwrap_or_default(),
        }
    }
}

/// The version alone: what comes after it names who built the kernel.
fn version_of(release: &str) -> &str {
    release.trim().split('-').next().unwrap_or_default()
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { processor, cores, memory_gib, system, load } = self;
        write!(f, "{cores} cores of {processor}, {memory_gib:.0} GiB, {system}; load {load:.1} before the run")
    }
}

/// The value of the first line such as `name : value`.
fn value_of(text: &str, name: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let (found, value) = line.split_once(':')?;
        (found.trim() == name).then(|| value.trim().to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_names_the_machine() {
        assert_eq!(value_of("processor\t: 0\nmodel name\t: A: B\n", "model name").as_deref(), Some("A: B"));
        assert_eq!(value_of("MemTotal:       24000 kB\n", "MemTotal").as_deref(), Some("24000 kB"));
        assert_eq!(value_of("x", "MemTotal"), None);
    }
}
