//! [`Import`]: an archive's way into a deployment.

use std::collections::HashSet;
use std::fs;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::time::Duration;

use migrate_core::error::{Disposition, Error, ErrorKind, Result};
use migrate_core::stop::Stop;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::chunk::io_error;
use super::import_client::{ImportClient, ImportState, OLD_DEPLOYMENT, count_of, import_failure};
use super::numbers::TableNumbers;
use crate::settings::ConvexSettings;

/// Bytes of a part: above the 5 MiB that Convex's storage asks for.
const PART_BYTES: u64 = 8 * 1024 * 1024;
/// Parts of one upload at most; the storage takes 10,000.
const MAX_PARTS: u64 = 9999;
/// Attempts at one call, or at the whole upload.
const ATTEMPTS: u32 = 6;

/// What becomes of documents that the tables hold already.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImportMode {
    /// The import is refused where a table has documents.
    #[default]
    RequireEmpty,
    /// They are dropped in the moment in which the new ones are there.
    Replace,
    /// They stay. Not all or nothing: what was written before a failure stays, too.
    Append,
}

impl ImportMode {
    /// The name in Convex's protocol.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::RequireEmpty => "requireEmpty",
            Self::Replace => "replace",
            Self::Append => "append",
        }
    }
}

/// What an import tells on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ImportNews {
    /// Somebody else's import is under way: this one waits for its end.
    WaitingForOther,
    /// So much of the file is sent.
    Uploading {
        /// Bytes that are sent.
        sent: u64,
        /// Bytes of the file.
        total: u64,
    },
    /// The deployment reads the file; nothing is written yet.
    Reading,
    /// Documents are written.
    Writing {
        /// How far, in the deployment's own words, which name tables and counts.
        message: String,
    },
}

/// A finished import.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportOutcome {
    /// Its id in the deployment.
    pub id: String,
    /// Documents that it wrote, as the deployment says.
    pub documents: Option<u64>,
}

/// What is kept of an import, so that a run after a crash finds it again.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ImportFile {
    import_id: String,
    sha256: String,
    mode: ImportMode,
}

/// Uploads an archive and has it imported.
///
/// Parts are sent one after the other and never twice: where it is unknown what became of one, the upload begins anew.
/// What is sent is nothing to the deployment until the last step of the upload, and nothing is written until the import is
/// confirmed.
#[derive(Debug)]
pub struct Import {
    client: ImportClient,
    mode: ImportMode,
    stop: Stop,
    first_poll: Duration,
    last_poll: Duration,
    part_bytes: u64,
}

impl Import {
    /// An import into the settings' deployment. Makes no call.
    ///
    /// # Errors
    /// `Config` when address or key cannot be used.
    pub fn new(settings: &ConvexSettings, mode: ImportMode) -> Result<Self> {
        if settings.secret.is_some() {
            return Err(Error::new(ErrorKind::Config, "import a snapshot without a deploy key")
                .with_remedy("create a deploy key, and leave out convex.public_functions"));
        }
        Ok(Self {
            client: ImportClient::new(settings)?,
            mode,
            stop: Stop::default(),
            first_poll: Duration::from_secs(1),
            last_poll: Duration::from_secs(5),
            part_bytes: PART_BYTES,
        })
    }

    /// Stops it by this handle: an import that is not finished is cancelled.
    #[must_use]
    pub fn stop(mut self, stop: Stop) -> Self {
        self.stop = stop;
        self
    }

    /// Sets how long to wait between two questions after its state, at first and at most.
    #[must_use]
    pub fn poll_every(mut self, first: Duration, last: Duration) -> Self {
        (self.first_poll, self.last_poll) = (first, last);
        self
    }

    /// Sets the size of a part; Convex Cloud takes no less than 5 MiB but for the last.
    #[must_use]
    pub fn part_bytes(mut self, bytes: u64) -> Self {
        self.part_bytes = bytes.max(1);
        self
    }

    /// Proves that the deployment answers and knows the key.
    ///
    /// # Errors
    /// `Unreachable`, `Unauthorized`, `Forbidden`, `Protocol`.
    pub async fn check(&self) -> Result<()> {
        self.client.check().await
    }

    /// The numbers of the deployment's tables.
    ///
    /// # Errors
    /// Those of a call.
    pub async fn table_numbers(&self) -> Result<TableNumbers> {
        self.client.table_numbers().await
    }

    /// Uploads the archive, has it read, asks `confirm` with the deployment's own summary, and waits for the end.
    ///
    /// `record` is a file in which the import is remembered: after a crash, the same call goes on with it. The numbers of
    /// the archive's tables are compared with the deployment's before anything is sent.
    ///
    /// # Errors
    /// `State` for tables that have other numbers by now; `Config` for an import that was refused or not confirmed;
    /// `Interrupted` after a stop; those of the calls, once they were repeated in vain.
    pub async fn run(
        &self,
        archive: &Path,
        sha256: &str,
        numbers: &TableNumbers,
        record: &Path,
        confirm: impl Fn(&str, bool) -> bool,
        news: impl Fn(ImportNews),
    ) -> Result<ImportOutcome> {
        let known = self.known(sha256, record).await?;
        let id = if let Some(id) = known {
            id
        } else {
            self.wait_for_others(&news).await?;
            numbers.check(&self.retry(|| self.client.table_numbers()).await?)?;
            let id = self.upload(archive, &news).await?;
            let file = ImportFile { import_id: id.clone(), sha256: sha256.to_owned(), mode: self.mode };
            write_record(record, &file)?;
            id
        };
        let outcome = self.follow(&id, confirm, news).await;
        if outcome.as_ref().is_err_and(|error| error.disposition() == Disposition::Abort) {
            forget(record)?;
        }
        outcome
    }

    /// True for the error of a deployment that only knows [`super::Encoding::Shape`].
    #[must_use]
    pub fn wants_older_encoding(error: &Error) -> bool {
        error.message() == OLD_DEPLOYMENT
    }

    /// The import of an earlier run, if it can still come to something.
    async fn known(&self, sha256: &str, record: &Path) -> Result<Option<String>> {
        let text = match fs::read_to_string(record) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io_error(record, error)),
        };
        let Ok(file) = serde_json::from_str::<ImportFile>(&text) else { return Ok(None) };
        if file.sha256 != sha256 || file.mode != self.mode {
            return Ok(None);
        }
        let row = self.retry(|| self.client.import(&file.import_id)).await?;
        Ok(row.filter(|row| !matches!(row.state, ImportState::Failed { .. })).map(|row| row.id))
    }

    /// Imports run one at a time, and another one may change the tables.
    async fn wait_for_others(&self, news: &impl Fn(ImportNews)) -> Result<()> {
        let mut delay = self.first_poll;
        loop {
            let imports = self.retry(|| self.client.imports()).await?;
            if !imports.iter().any(|row| matches!(row.state, ImportState::InProgress { .. })) {
                return Ok(());
            }
            news(ImportNews::WaitingForOther);
            self.pause(&mut delay).await?;
        }
    }

    async fn upload(&self, archive: &Path, news: &impl Fn(ImportNews)) -> Result<String> {
        let mut delay = self.first_poll;
        let mut attempt = 1;
        loop {
            match self.upload_once(archive, news).await {
                Err(error) if error.disposition() == Disposition::Retry && attempt < ATTEMPTS => {
                    attempt += 1;
                    tracing::debug!(code = error.code(), "the upload begins anew");
                    self.pause(&mut delay).await?;
                }
                done => return done,
            }
        }
    }

    async fn upload_once(&self, archive: &Path, news: &impl Fn(ImportNews)) -> Result<String> {
        let total = fs::metadata(archive).map_err(|error| io_error(archive, error))?.len();
        let part_bytes = self.part_bytes.max(total.div_ceil(MAX_PARTS));
        let token = self.client.start_upload().await?;
        let mut parts: Vec<Json> = Vec::new();
        let mut sent = 0;
        news(ImportNews::Uploading { sent, total });
        while sent < total {
            if self.stop.is_requested() {
                return Err(interrupted());
            }
            let part = read_part(archive, sent, part_bytes.min(total - sent)).await?;
            let length = part.len() as u64;
            parts.push(self.client.upload_part(&token, parts.len() + 1, part).await?);
            sent += length;
            news(ImportNews::Uploading { sent, total });
        }
        self.finish_upload(&token, &parts).await
    }

    /// Ends the upload. Where it is unknown what became of that, the new import is looked for before it is sent again: a
    /// second one would wait for ever.
    async fn finish_upload(&self, token: &str, parts: &[Json]) -> Result<String> {
        let before: HashSet<String> =
            self.retry(|| self.client.imports()).await?.into_iter().map(|row| row.id).collect();
        let mut delay = self.first_poll;
        for _ in 0..ATTEMPTS {
            let error = match self.client.finish_upload(token, parts, self.mode).await {
                Err(error) if error.disposition() == Disposition::Retry => error,
                done => return done,
            };
            self.pause(&mut delay).await?;
            let now = self.retry(|| self.client.imports()).await?;
            let mut new = now.into_iter().filter(|row| !before.contains(&row.id));
            match (new.next(), new.next()) {
                (Some(own), None) => return Ok(own.id),
                (None, _) => tracing::debug!(code = error.code(), "the upload is ended once more"),
                (Some(_), Some(_)) => {
                    return Err(Error::new(ErrorKind::State, "tell which of several new imports is this one")
                        .with_remedy("cancel them in the dashboard, then run the same command"));
                }
            }
        }
        Err(Error::new(ErrorKind::Unavailable, "end the upload").with_remedy("run the same command later"))
    }

    async fn follow(
        &self,
        id: &str,
        confirm: impl Fn(&str, bool) -> bool,
        news: impl Fn(ImportNews),
    ) -> Result<ImportOutcome> {
        let mut delay = self.first_poll;
        let mut is_confirmed = false;
        loop {
            let row = self.retry(|| self.client.import(id)).await?;
            let row = row.ok_or_else(|| {
                Error::new(ErrorKind::Protocol, "find the import that was begun").with_context("import", id)
            })?;
            match row.state {
                ImportState::Completed { num_rows_written } => {
                    return Ok(ImportOutcome { id: id.to_owned(), documents: count_of(&num_rows_written) });
                }
                ImportState::Failed { error_message } => {
                    return Err(import_failure(&error_message).with_context("import", id));
                }
                _ if self.stop.is_requested() => return Err(self.cancel(id).await),
                ImportState::WaitingForConfirmation { message_to_confirm, require_manual_confirmation }
                    if !is_confirmed =>
                {
                    let required = require_manual_confirmation.unwrap_or(false);
                    if !confirm(&message_to_confirm.unwrap_or_default(), required) {
                        self.cancel(id).await;
                        return Err(Error::new(ErrorKind::Config, "import: it was not confirmed")
                            .with_remedy("run the same command to be asked again, or add --yes"));
                    }
                    self.retry(|| self.client.perform(id)).await?;
                    is_confirmed = true;
                    delay = self.first_poll;
                }
                ImportState::InProgress { progress_message } => {
                    news(ImportNews::Writing { message: progress_message.unwrap_or_default() });
                }
                ImportState::Uploaded {} | ImportState::WaitingForConfirmation { .. } | ImportState::Other => {
                    news(ImportNews::Reading);
                }
            }
            // A stop ends the wait, and is seen by the next turn, which cancels.
            let _ = self.pause(&mut delay).await;
        }
    }

    /// Cancels an import that nobody waits for any more; returns the error that ends the run.
    async fn cancel(&self, id: &str) -> Error {
        match self.client.cancel(id).await {
            Ok(()) => interrupted(),
            Err(error) => Error::new(ErrorKind::Interrupted, "cancel the import, which may go on")
                .with_context("import", id)
                .with_remedy("cancel it in the dashboard")
                .with_source(error),
        }
    }

    /// Repeats a call that may be repeated.
    async fn retry<T, F: Future<Output = Result<T>>>(&self, call: impl Fn() -> F) -> Result<T> {
        let mut delay = self.first_poll;
        for _ in 1..ATTEMPTS {
            match call().await {
                Err(error) if error.disposition() == Disposition::Retry => {
                    tracing::debug!(code = error.code(), "the call is repeated");
                    let asked = error.retry_after().unwrap_or_default();
                    delay = delay.max(asked);
                    tokio::time::sleep(delay).await;
                    delay = (delay * 2).min(self.last_poll.max(asked));
                }
                done => return done,
            }
        }
        call().await
    }

    /// Waits, each time longer; a stop ends the wait.
    async fn pause(&self, delay: &mut Duration) -> Result<()> {
        tokio::select! {
            () = tokio::time::sleep(*delay) => {}
            () = self.stop.requested() => return Err(interrupted()),
        }
        *delay = (*delay * 2).min(self.last_poll);
        Ok(())
    }
}

fn interrupted() -> Error {
    Error::new(ErrorKind::Interrupted, "import: a stop was asked for")
}

async fn read_part(archive: &Path, at: u64, bytes: u64) -> Result<Vec<u8>> {
    let archive = archive.to_owned();
    let read = move || {
        let mut part = Vec::with_capacity(usize::try_from(bytes).unwrap_or_default());
        let mut file = fs::File::open(&archive).map_err(|error| io_error(&archive, error))?;
        let done = file.seek(SeekFrom::Start(at)).and_then(|_| file.take(bytes).read_to_end(&mut part));
        done.map_err(|error| io_error(&archive, error))?;
        if part.len() as u64 == bytes {
            return Ok(part);
        }
        Err(Error::new(ErrorKind::State, "read the archive: it is shorter than it was")
            .with_remedy("begin anew: --fresh"))
    };
    tokio::task::spawn_blocking(read)
        .await
        .unwrap_or_else(|_| Err(Error::new(ErrorKind::Unexpected, "finish reading a part")))
}

fn write_record(path: &Path, file: &ImportFile) -> Result<()> {
    let text = serde_json::to_string(file)
        .map_err(|error| Error::new(ErrorKind::Unexpected, "write JSON").with_source(error))?;
    fs::write(path, text + "\n").map_err(|error| io_error(path, error))
}

fn forget(record: &Path) -> Result<()> {
    match fs::remove_file(record) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(io_error(record, error)),
        _ => Ok(()),
    }
}
