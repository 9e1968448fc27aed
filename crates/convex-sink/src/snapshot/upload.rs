//! An archive's parts on their way, and the end of the upload.

use std::collections::HashSet;
use std::fs;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use migrate_core::error::{Error, ErrorKind, Result};
use migrate_core::layer::Repeater;
use migrate_core::stop::{Stop, stopped};
use serde_json::Value as Json;

use super::chunk::io_error;
use super::import::{ImportMode, ImportNews};
use super::import_client::ImportClient;

/// Bytes of a part: above the 5 MiB that Convex's storage asks for.
pub(super) const PART_BYTES: u64 = 8 * 1024 * 1024;
/// Parts of one upload at most; the storage takes 10,000.
const MAX_PARTS: u64 = 9999;

/// What came of a step: an error outside is repeated, what is inside is settled, be it an error.
type Settled<T> = Result<Result<T>>;

/// The upload of an archive.
///
/// A part that was refused unread is sent again. Where it is unknown what became of one, the upload begins anew: a
/// deployment on one machine appends what comes, so that a part which was sent twice would be in the file twice.
pub(super) struct Upload<'a> {
    pub(super) client: &'a ImportClient,
    pub(super) repeater: &'a Repeater,
    pub(super) stop: &'a Stop,
    pub(super) mode: ImportMode,
    pub(super) part_bytes: u64,
}

/// An upload whose parts are all there.
struct Sent {
    token: String,
    parts: Vec<Json>,
}

impl Upload<'_> {
    /// Uploads the archive; returns the id of the import that it became.
    pub(super) async fn run(&self, archive: &Path, news: &impl Fn(ImportNews)) -> Result<String> {
        let sent = self.repeater.repeat("upload", None, || self.parts(archive, news)).await??;
        self.finish(&sent).await
    }

    async fn parts(&self, archive: &Path, news: &impl Fn(ImportNews)) -> Settled<Sent> {
        let total = fs::metadata(archive).map_err(|error| io_error(archive, error))?.len();
        let part_bytes = self.part_bytes.max(total.div_ceil(MAX_PARTS));
        let token = match self.repeater.repeat("start_upload", None, || self.client.start_upload()).await {
            Ok(token) => token,
            Err(error) => return Ok(Err(error)),
        };
        let mut parts: Vec<Json> = Vec::new();
        let mut sent = 0;
        news(ImportNews::Uploading { sent, total });
        while sent < total {
            if self.stop.is_requested() {
                return Err(stopped());
            }
            let bytes = part_bytes.min(total - sent);
            let number = parts.len() + 1;
            let part = || self.part(archive, sent..sent + bytes, &token, number);
            match self.repeater.repeat("upload_part", None, part).await {
                Ok(part) => parts.push(part?),
                Err(error) => return Ok(Err(error)),
            }
            sent += bytes;
            news(ImportNews::Uploading { sent, total });
        }
        Ok(Ok(Sent { token, parts }))
    }

    /// Sends a part. Only an error that proves that nothing of it was taken may repeat it.
    async fn part(&self, archive: &Path, at: std::ops::Range<u64>, token: &str, number: usize) -> Settled<Json> {
        let bytes = read_part(archive, at.start, at.end - at.start).await?;
        match self.client.upload_part(token, number, bytes).await {
            Err(error) if is_untaken(&error) => Err(error),
            sent => Ok(sent),
        }
    }

    /// Ends the upload. Where it is unknown what became of that, the new import is looked for before it is sent again: a
    /// second one would wait for ever.
    async fn finish(&self, Sent { token, parts }: &Sent) -> Result<String> {
        let before: HashSet<String> = self.imports().await?;
        let is_again = AtomicBool::new(false);
        let end = || async {
            if is_again.swap(true, Ordering::Relaxed) {
                match self.begun_since(&before).await {
                    Ok(None) => {}
                    Ok(Some(own)) => return Ok(Ok(own)),
                    Err(error) => return Ok(Err(error)),
                }
            }
            self.client.finish_upload(token, parts, self.mode).await.map(Ok)
        };
        self.repeater.repeat("finish_upload", None, end).await?
    }

    async fn begun_since(&self, before: &HashSet<String>) -> Result<Option<String>> {
        let now = self.imports().await?;
        let mut new = now.difference(before);
        match (new.next(), new.next()) {
            (own, None) => Ok(own.cloned()),
            (_, Some(_)) => Err(Error::new(ErrorKind::State, "tell which of several new imports is this one")
                .with_remedy("cancel them in the dashboard, then run the same command")),
        }
    }

    async fn imports(&self) -> Result<HashSet<String>> {
        let imports = self.repeater.repeat("list_imports", None, || self.client.imports()).await?;
        Ok(imports.into_iter().map(|row| row.id).collect())
    }
}

/// Whether nothing of what was sent was taken: 429 is answered in place of reading it, and without a connection nothing is
/// sent at all. After any other failure, a 503 among them, the part may lie there.
fn is_untaken(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::RateLimited | ErrorKind::Unreachable)
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
