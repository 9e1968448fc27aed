//! A server process that never outlives its owner.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::account::{Account, give, temporary_base};
use super::error::{Context, Error, Result};
use super::keys::random_hex;

const SCRIPT: &str = include_str!("../../local-stack/supervise.sh");
const FOLDER_LIMIT: Duration = Duration::from_secs(30);
const TAIL_LINES: usize = 25;

/// What to run: a program with its arguments and, beside `PATH`, `HOME` and `LC_ALL`, its whole environment.
#[derive(Debug)]
pub(super) struct Launch {
    program: PathBuf,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    stop_signal: &'static str,
}

impl Launch {
    /// Runs `program`, and stops it with SIGTERM.
    pub(super) fn new(program: impl Into<PathBuf>) -> Self {
        Self { program: program.into(), arguments: Vec::new(), environment: Vec::new(), stop_signal: "TERM" }
    }

    pub(super) fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    pub(super) fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.environment.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Stops the program with this signal instead, named without `SIG`.
    pub(super) fn stop_signal(mut self, name: &'static str) -> Self {
        self.stop_signal = name;
        self
    }

    /// The same as a shell script.
    fn script(&self) -> Vec<u8> {
        let mut script = Vec::new();
        for (name, value) in &self.environment {
            script.extend([b"export ", name.as_bytes(), b"=", &quote(value), b"\n"].concat());
        }
        script.extend(b"exec");
        for word in std::iter::once(self.program.as_os_str()).chain(self.arguments.iter().map(OsString::as_os_str)) {
            script.extend([b" ", quote(word).as_slice()].concat());
        }
        script.push(b'\n');
        script
    }
}

/// The folder of a server that is yet to start, already watched by the supervisor: it is removed on drop, and also
/// when this process is killed.
#[derive(Debug)]
pub(super) struct Prepared {
    supervisor: Supervisor,
    account: Option<Account>,
}

impl Prepared {
    /// Creates the folder, owned by the user the server is to run as.
    pub(super) fn new() -> Result<Self> {
        let account = Account::for_servers()?;
        let folder = temporary_base(account).join(format!("local-stack-{}", random_hex(12)));
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", SCRIPT, "local-stack-supervisor"])
            .arg(&folder)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into()))
            .env("HOME", &folder)
            .env("LC_ALL", "C")
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        if let Some(Account { uid, gid }) = account {
            command.uid(uid).gid(gid);
        }
        let child = command.spawn().context("start a supervisor with /bin/sh")?;
        let mut supervisor = Supervisor { folder, child: Some(child) };
        supervisor.wait_for_folder()?;
        Ok(Self { supervisor, account })
    }

    pub(super) fn path(&self) -> &Path {
        &self.supervisor.folder
    }

    pub(super) fn account(&self) -> Option<Account> {
        self.account
    }

    /// Starts the server.
    pub(super) fn start(mut self, launch: Launch) -> Result<Supervised> {
        let command = self.path().join("command");
        fs::write(&command, launch.script()).context(format_args!("write {}", command.display()))?;
        give(&command, self.account)?;
        self.supervisor.send(launch.stop_signal)?;
        Ok(Supervised { supervisor: self.supervisor, program: launch.program })
    }
}

/// The process that cleans up, and the pipe whose end is the sign to do so.
#[derive(Debug)]
struct Supervisor {
    folder: PathBuf,
    child: Option<Child>,
}

impl Supervisor {
    fn wait_for_folder(&mut self) -> Result<()> {
        let started = Instant::now();
        while !self.folder.is_dir() {
            let ended = self.child.as_mut().is_none_or(|child| !matches!(child.try_wait(), Ok(None)));
            if ended || started.elapsed() > FOLDER_LIMIT {
                return Err(Error::new(format!("failed to create the folder {}", self.folder.display())));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    fn send(&mut self, line: &str) -> Result<()> {
        let pipe = self.child.as_mut().and_then(|child| child.stdin.as_mut());
        let pipe = pipe.ok_or_else(|| Error::new("the supervisor has ended"))?;
        pipe.write_all(format!("{line}\n").as_bytes()).context("reach the supervisor")
    }

    /// Closes the pipe; the process goes on until all is cleaned up.
    fn release(&mut self) -> Option<Child> {
        let mut child = self.child.take()?;
        drop(child.stdin.take());
        Some(child)
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        if let Some(mut child) = self.release() {
            // Takes the exit status, so that no zombie stays for the rest of this process.
            std::thread::spawn(move || child.wait());
        }
    }
}

/// A running server. It is stopped, and its folder removed, when this value is dropped or its process ends in any
/// way, `kill -9` included: the supervisor waits for the end of a pipe that only this process holds.
#[derive(Debug)]
pub struct Supervised {
    supervisor: Supervisor,
    program: PathBuf,
}

impl Supervised {
    /// The server's temporary folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.supervisor.folder
    }

    /// Process id of the supervisor, which leads the server's process group.
    pub fn supervisor_id(&self) -> Option<u32> {
        self.supervisor.child.as_ref().map(Child::id)
    }

    /// Whether the server has ended by itself.
    #[must_use]
    pub fn has_exited(&self) -> bool {
        self.folder().join("exited").exists()
    }

    /// All the server has printed so far.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read(self.folder().join("log"))
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    /// An error that names the program and ends with the last lines it printed.
    #[must_use]
    pub fn failure(&self, what: &str) -> Error {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        let tail = lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n");
        let name = self.program.display();
        let last = if tail.is_empty() { "it printed nothing".to_owned() } else { format!("it printed:\n{tail}") };
        Error::new(format!("{name} {what}; {last}"))
    }

    /// Stops the server and waits, at most 15 seconds, until its folder is removed.
    pub fn stop(mut self) {
        if let Some(mut child) = self.supervisor.release() {
            for _ in 0..150 {
                if matches!(child.try_wait(), Ok(Some(_)) | Err(_)) {
                    return;
                }
                std::thread::sleep(Duration::from_millis(100));
            }
        }
    }
}

/// `word` as a shell reads it back.
fn quote(word: &OsStr) -> Vec<u8> {
    let mut quoted = vec![b'\''];
    for byte in word.as_bytes() {
        if *byte == b'\'' {
            quoted.extend(b"'\\''");
        } else {
            quoted.push(*byte);
        }
    }
    quoted.push(b'\'');
    quoted
}
