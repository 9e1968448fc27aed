//! The user the servers run as, and folders that user can read.
//!
//! Postgres refuses to run as root, and `PostgREST` should not. When the tests run as root, everything is started as
//! `postgres` or `nobody`, which must be able to reach the programs and folders it is given.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use super::error::{Context, Error, Result};

const NOBODY: Account = Account { uid: 65_534, gid: 65_534 };
const READ: u32 = 0o4;
const WRITE: u32 = 0o2;
const EXECUTE: u32 = 0o1;

/// A user that is not root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) uid: u32,
    pub(super) gid: u32,
}

impl Account {
    /// The user to start servers as, or `None` when the current one will do.
    pub(super) fn for_servers() -> Result<Option<Self>> {
        if current_user()? != 0 {
            return Ok(None);
        }
        let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
        Ok(Some(passwd.lines().find_map(postgres_entry).unwrap_or(NOBODY)))
    }

    fn may(self, path: &Path, right: u32) -> bool {
        let Ok(metadata) = fs::metadata(path) else { return false };
        let shift = if metadata.uid() == self.uid {
            6
        } else if metadata.gid() == self.gid {
            3
        } else {
            0
        };
        (metadata.permissions().mode() >> shift) & right == right
    }
}

/// Id of the user that owns what this process creates.
pub(super) fn current_user() -> Result<u32> {
    let probe = tempfile::tempfile().context("create a temporary file")?;
    Ok(probe.metadata().context("read a temporary file's owner")?.uid())
}

fn postgres_entry(line: &str) -> Option<Account> {
    let mut fields = line.split(':');
    if fields.next()? != "postgres" {
        return None;
    }
    let uid = fields.nth(1)?.parse().ok()?;
    let gid = fields.next()?.parse().ok()?;
    Some(Account { uid, gid })
}

/// Whether `account` can read the file or list the folder at `path` (and run it, for a program).
pub(super) fn can_reach(account: Option<Account>, path: &Path) -> bool {
    let Ok(path) = path.canonicalize() else { return false };
    let Some(account) = account else { return true };
    let program = path.metadata().is_ok_and(|metadata| metadata.is_dir() || metadata.permissions().mode() & 0o111 != 0);
    let wanted = if program { READ | EXECUTE } else { READ };
    path.ancestors().skip(1).all(|folder| account.may(folder, EXECUTE)) && account.may(&path, wanted)
}

/// The system's folder for temporary files, or `/tmp` when `account` cannot use that one.
pub(super) fn temporary_base(account: Option<Account>) -> PathBuf {
    let usual = std::env::temp_dir();
    let usable = account.is_none_or(|user| can_reach(account, &usual) && user.may(&usual, WRITE));
    if usable { usual } else { PathBuf::from("/tmp") }
}

/// Makes `account` the owner of `path` and of all below it. Links are not followed.
pub(super) fn give(path: &Path, account: Option<Account>) -> Result<()> {
    let Some(Account { uid, gid }) = account else { return Ok(()) };
    let metadata = fs::symlink_metadata(path).context(format_args!("read {}", path.display()))?;
    if metadata.is_symlink() {
        return Ok(());
    }
    if metadata.is_dir() {
        for entry in fs::read_dir(path).context(format_args!("list {}", path.display()))? {
            give(&entry.context(format_args!("list {}", path.display()))?.path(), account)?;
        }
    }
    chown(path, Some(uid), Some(gid)).context(format_args!("give {} to user {uid}", path.display()))
}

/// Finds `name` in `PATH`.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?).map(|folder| folder.join(name)).find(|path| path.is_file())
}

/// Copies the files below `from` to `to`, except `node_modules` and hidden files.
pub(super) fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).context(format_args!("create {}", to.display()))?;
    for entry in fs::read_dir(from).context(format_args!("list {}", from.display()))? {
        let entry = entry.context(format_args!("list {}", from.display()))?;
        let name = entry.file_name();
        if name == "node_modules" || name.to_string_lossy().starts_with('.') {
            continue;
        }
        let (source, target) = (entry.path(), to.join(&name));
        if source.is_dir() {
            copy_folder(&source, &target)?;
        } else {
            fs::copy(&source, &target).context(format_args!("copy {}", source.display()))?;
        }
    }
    Ok(())
}

/// Fails with a remedy when `account` cannot run `program`.
pub(super) fn require_reachable(account: Option<Account>, program: &Path) -> Result<()> {
    if can_reach(account, program) {
        return Ok(());
    }
    let user = account.map_or(0, |account| account.uid);
    Err(Error::new(format!(
        "{} cannot be run by user {user}, as which the servers run when the tests run as root: \
         install it where every user can reach it, or run the tests as an ordinary user",
        program.display()
    )))
}
