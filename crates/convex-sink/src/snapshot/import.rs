//! [`Import`]: an archive's way into a deployment.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use migrate_core::error::{Disposition, Error, ErrorKind, Result};
use migrate_core::layer::{Repeater, RetryPolicy};
use migrate_core::observe::{Fanout, Observer};
use migrate_core::stop::{Stop, stopped};
use serde::{Deserialize, Serialize};

use super::chunk::io_error;
use super::import_client::{ImportClient, ImportState, OLD_DEPLOYMENT, count_of, import_failure, not_empty};
use super::numbers::TableNumbers;
use super::upload::{PART_BYTES, Upload};
use crate::settings::ConvexSettings;

/// Counts that are asked for at once.
const COUNTS: usize = 8;

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
/// Parts are sent one after the other, and again only where they were refused unread: where it is unknown what became of
/// one, the upload begins anew. What is sent is nothing to the deployment until the last step of the upload, and nothing
/// is written until the import is confirmed.
#[derive(Debug)]
pub struct Import {
    client: ImportClient,
    mode: ImportMode,
    repeater: Repeater,
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
            repeater: Repeater::new(RetryPolicy::default(), Arc::new(Fanout::default())),
            stop: Stop::default(),
            first_poll: Duration::from_secs(1),
            last_poll: Duration::from_secs(5),
            part_bytes: PART_BYTES,
        })
    }

    /// Stops it by this handle: an import that is not finished is cancelled.
    #[must_use]
    pub fn stop(self, stop: Stop) -> Self {
        Self { repeater: self.repeater.with_stop(stop.clone()), stop, ..self }
    }

    /// Sets how calls are repeated, and who hears of it.
    #[must_use]
    pub fn retry(mut self, policy: RetryPolicy, observer: Arc<dyn Observer>) -> Self {
        self.repeater = Repeater::new(policy, observer).with_stop(self.stop.clone());
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
        self.repeater.repeat("table_numbers", None, || self.client.table_numbers()).await
    }

    /// Refuses tables that hold documents, where the mode asks for empty ones. A table whose documents cannot be counted
    /// passes: the deployment judges it when the archive is there.
    ///
    /// # Errors
    /// `Config` with the tables and their counts; those of a call.
    pub async fn require_empty(&self, tables: impl IntoIterator<Item = &str>) -> Result<()> {
        if self.mode != ImportMode::RequireEmpty {
            return Ok(());
        }
        let count = async |table: &str| Ok((table.to_owned(), self.count(table).await?));
        let counts = stream::iter(tables).map(count).buffered(COUNTS);
        let counts: Vec<(String, u64)> = counts.try_collect().await?;
        let full = counts.into_iter().filter(|(_, count)| *count > 0);
        let full: Vec<String> = full.map(|(table, count)| format!("{table}: {count}")).collect();
        if full.is_empty() { Ok(()) } else { Err(not_empty().with_context("documents", full.join(", "))) }
    }

    /// Documents of a table; 0 where the deployment does not tell.
    async fn count(&self, table: &str) -> Result<u64> {
        match self.repeater.repeat("count", None, || self.client.table_size(table)).await {
            Err(error) if is_untold(&error) => {
                tracing::debug!(table, code = error.code(), "the documents cannot be counted before the import");
                Ok(0)
            }
            counted => counted,
        }
    }

    /// Uploads the archive, has it read, asks `confirm` with the deployment's own summary, and waits for the end.
    ///
    /// `record` is a file in which the import is remembered: after a crash, the same call goes on with it. The numbers of
    /// the archive's tables are compared with the deployment's before anything is sent.
    ///
    /// # Errors
    /// `State` for tables that have other numbers by now; `Config` for tables that are not empty and should be, and for an
    /// import that was refused or not confirmed; `Interrupted` after a stop; those of the calls, once they were repeated in
    /// vain.
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
            numbers.check(&self.table_numbers().await?)?;
            self.require_empty(numbers.iter().map(|(table, _)| table)).await?;
            let id = self.upload().run(archive, &news).await?;
            let file = ImportFile { import_id: id.clone(), sha256: sha256.to_owned(), mode: self.mode };
            write_record(record, &file)?;
            id
        };
        match self.follow(&id, confirm, news).await {
            Err(error) if error.kind() == ErrorKind::Interrupted => Err(self.cancel(&id, record).await),
            Err(error) if error.disposition() == Disposition::Abort => {
                forget(record)?;
                Err(error)
            }
            done => done,
        }
    }

    fn upload(&self) -> Upload<'_> {
        let Self { client, repeater, stop, mode, part_bytes, .. } = self;
        Upload { client, repeater, stop, mode: *mode, part_bytes: *part_bytes }
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
        let row = self.repeater.repeat("import", None, || self.client.import(&file.import_id)).await?;
        Ok(row.filter(|row| !matches!(row.state, ImportState::Failed { .. })).map(|row| row.id))
    }

    /// Imports run one at a time, and another one may change the tables.
    async fn wait_for_others(&self, news: &impl Fn(ImportNews)) -> Result<()> {
        let mut delay = self.first_poll;
        loop {
            let imports = self.repeater.repeat("list_imports", None, || self.client.imports()).await?;
            if !imports.iter().any(|row| matches!(row.state, ImportState::InProgress { .. })) {
                return Ok(());
            }
            news(ImportNews::WaitingForOther);
            self.pause(&mut delay).await?;
        }
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
            let row = self.repeater.repeat("import", None, || self.client.import(id)).await?;
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
                _ if self.stop.is_requested() => return Err(stopped()),
                ImportState::WaitingForConfirmation { message_to_confirm, require_manual_confirmation }
                    if !is_confirmed =>
                {
                    let required = require_manual_confirmation.unwrap_or(false);
                    if !confirm(&message_to_confirm.unwrap_or_default(), required) {
                        let cancelled = self.repeater.repeat("cancel_import", None, || self.client.cancel(id)).await;
                        tracing::debug!(is_cancelled = cancelled.is_ok(), "the import was not confirmed");
                        return Err(Error::new(ErrorKind::Config, "import: it was not confirmed")
                            .with_remedy("run the same command to be asked again, or add --yes"));
                    }
                    self.repeater.repeat("perform_import", None, || self.client.perform(id)).await?;
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
            // A stop ends the wait, and is seen by the next turn: an import that is done by then is not cancelled.
            let _ = self.pause(&mut delay).await;
        }
    }

    /// Cancels an import that a stop leaves behind; returns the error that ends the run. One that could not be cancelled stays
    /// remembered.
    async fn cancel(&self, id: &str, record: &Path) -> Error {
        match self.stop.bound(self.client.cancel(id)).await {
            Ok(()) => forget(record).err().unwrap_or_else(stopped),
            Err(error) => Error::new(ErrorKind::Interrupted, "cancel the import, which may go on")
                .with_context("import", id)
                .with_remedy("cancel it in the dashboard, or run the same command to wait for its end")
                .with_source(error),
        }
    }

    /// Waits, each time longer; a stop ends the wait.
    async fn pause(&self, delay: &mut Duration) -> Result<()> {
        tokio::select! {
            () = tokio::time::sleep(*delay) => {}
            () = self.stop.requested() => return Err(stopped()),
        }
        *delay = (*delay * 2).min(self.last_poll);
        Ok(())
    }
}

/// Whether an error says that a count is not to be had: without the right to it, from a deployment that does not know the
/// query, or of a table that is too large for it.
fn is_untold(error: &Error) -> bool {
    let is_refused = matches!(error.kind(), ErrorKind::Forbidden | ErrorKind::FunctionMissing);
    is_refused || error.disposition() == Disposition::Split
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
