//! Uploads on their way: parts of an archive, appended to a temporary file in the order of their arrival, as the local
//! storage of a self-hosted backend does.

use std::{
    collections::HashMap,
    fs::OpenOptions,
    io::Write as _,
    path::{Path, PathBuf},
};

use axum::http::StatusCode;
use tempfile::TempPath;

use crate::convex_bench::protocol::SystemError;

/// Parts that an object store takes.
const MAX_PARTS: usize = 10_000;

/// All uploads by their token. Their files are removed with this value.
#[derive(Debug, Default)]
pub(super) struct Uploads {
    by_token: HashMap<String, Upload>,
}

#[derive(Debug)]
struct Upload {
    file: TempPath,
    parts: Vec<Part>,
}

#[derive(Debug)]
struct Part {
    token: String,
    size: u64,
}

impl Uploads {
    /// Begins an upload and returns its token.
    pub(super) fn start(&mut self) -> Result<String, SystemError> {
        let file = tempfile::NamedTempFile::new().map_err(|_| SystemError::internal())?.into_temp_path();
        let token = format!("upload-{}", self.by_token.len() + 1);
        self.by_token.insert(token.clone(), Upload { file, parts: Vec::new() });
        Ok(token)
    }

    /// Appends a part and returns its token. A part out of order is refused: an object store would put it into its
    /// place, but a local storage appends it wherever it comes.
    pub(super) fn append(&mut self, token: &str, number: usize, bytes: &[u8]) -> Result<String, SystemError> {
        let upload = self.by_token.get_mut(token).ok_or_else(unknown)?;
        let due = upload.parts.len() + 1;
        if number != due {
            let message = format!("part {number} came where part {due} was due: parts are appended as they arrive");
            return Err(refused("PartOutOfOrder", message));
        }
        if number > MAX_PARTS {
            return Err(refused("TooManyParts", format!("an upload has at most {MAX_PARTS} parts")));
        }
        let append = || OpenOptions::new().append(true).open(&upload.file)?.write_all(bytes);
        append().map_err(|_: std::io::Error| SystemError::internal())?;
        let part =
            Part { token: format!("{token}-part-{number}"), size: u64::try_from(bytes.len()).unwrap_or(u64::MAX) };
        let token = part.token.clone();
        upload.parts.push(part);
        Ok(token)
    }

    /// Ends an upload and returns its file. It may be ended again: that makes a second import of the same file.
    pub(super) fn finish(&self, token: &str, parts: &[String], min_part: u64) -> Result<PathBuf, SystemError> {
        let upload = self.by_token.get(token).ok_or_else(unknown)?;
        if !upload.parts.iter().map(|part| &part.token).eq(parts) {
            let message = format!("the upload has {} parts, and these are not their tokens", upload.parts.len());
            return Err(refused("InvalidPart", message));
        }
        let Some((_, all_but_last)) = upload.parts.split_last() else {
            return Err(refused("InvalidPart", "the upload has no parts".to_owned()));
        };
        if let Some(position) = all_but_last.iter().position(|part| part.size < min_part) {
            let number = position + 1;
            let message = format!("part {number} is below {min_part} bytes, which only the last one may be");
            return Err(refused("EntityTooSmall", message));
        }
        let file: &Path = &upload.file;
        Ok(file.to_owned())
    }
}

fn unknown() -> SystemError {
    refused("InvalidUploadToken", "there is no upload with this token: start one".to_owned())
}

fn refused(code: &'static str, message: String) -> SystemError {
    SystemError::new(StatusCode::BAD_REQUEST, code, message)
}
