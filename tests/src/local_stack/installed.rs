//! Packages that are installed once, and where.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use super::account::{Account, can_reach, current_user, temporary_base};
use super::error::{Context, Error, Result};

const COMPLETE: &str = "complete";

/// The folder of what `install` puts into an empty one, unless that was done before. It is another folder for another
/// `pinned`, the text that names all versions. Safe to call from many processes at once.
pub(super) fn once(kind: &str, pinned: &str, install: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let base = base_folder()?;
    let hash = BASE64_URL_SAFE_NO_PAD.encode(&Sha256::digest(pinned)[..9]);
    let folder = base.join(format!("{kind}-{hash}"));
    let lock_path = base.join(format!("{kind}-{hash}.lock"));
    let lock = File::options()
        .create(true)
        .append(true)
        .open(&lock_path)
        .context(format_args!("open {}", lock_path.display()))?;
    lock.lock().context(format_args!("lock {}", lock_path.display()))?;
    if !folder.join(COMPLETE).exists() {
        if folder.exists() {
            fs::remove_dir_all(&folder).context(format_args!("remove the unfinished {}", folder.display()))?;
        }
        fs::create_dir_all(&folder).context(format_args!("create {}", folder.display()))?;
        install(&folder)?;
        fs::write(folder.join(COMPLETE), "").context("mark the packages as complete")?;
    }
    Ok(folder)
}

/// A folder for installed packages that the servers' user can read.
fn base_folder() -> Result<PathBuf> {
    let account = Account::for_servers()?;
    let usual = target_folder().join("local-stack");
    fs::create_dir_all(&usual).context(format_args!("create {}", usual.display()))?;
    if can_reach(account, &usual) {
        return Ok(usual);
    }
    let shared = temporary_base(account).join("supabase-to-convex-local-stack");
    fs::create_dir_all(&shared).context(format_args!("create {}", shared.display()))?;
    let metadata = fs::symlink_metadata(&shared).context(format_args!("read {}", shared.display()))?;
    if !metadata.is_dir() || metadata.uid() != current_user()? || !can_reach(account, &shared) {
        return Err(Error::new(format!(
            "neither {} nor {} is a folder of ours that the servers' user can read: \
             set CARGO_TARGET_DIR to one that every user can reach",
            usual.display(),
            shared.display()
        )));
    }
    Ok(shared)
}

/// Cargo's target folder: the one in the environment, else the marked one above this program, else the workspace's.
#[must_use]
pub fn target_folder() -> PathBuf {
    if let Some(folder) = std::env::var_os("CARGO_TARGET_DIR") {
        return std::path::absolute(&folder).unwrap_or_else(|_| folder.into());
    }
    let program = std::env::current_exe().unwrap_or_default();
    program
        .ancestors()
        .find(|folder| folder.join("CACHEDIR.TAG").is_file())
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"), Path::to_path_buf)
}
