//! A ZIP archive of entries whose pieces are compressed already.
//!
//! The crates for ZIP compress what they write themselves, in one thread; here an entry is made of pieces that several
//! threads compressed before. Stored as .ZIP File Format Specification 6.3 says, with ZIP64 fields where a size needs
//! them.

use std::fs::File;
use std::io::{BufWriter, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use migrate_core::error::Result;
use sha2::{Digest as _, Sha256};

use super::chunk::{PieceSize, io_error};

/// An empty last block of a deflate stream.
pub(crate) const LAST_BLOCK: [u8; 2] = [0x03, 0x00];

const LOCAL_HEADER: u32 = 0x0403_4b50;
const CENTRAL_HEADER: u32 = 0x0201_4b50;
const END_OF_DIRECTORY: u32 = 0x0605_4b50;
const END_OF_DIRECTORY_64: u32 = 0x0606_4b50;
const LOCATOR_64: u32 = 0x0706_4b50;
const DEFLATED: u16 = 8;
/// Names are UTF-8.
const FLAGS: u16 = 1 << 11;
/// Version 4.5 of the specification brought ZIP64.
const NEEDS_ZIP64: u16 = 45;
const NEEDS_DEFLATE: u16 = 20;
/// 1980-01-01, the first day there is: an archive of the same documents is the same bytes.
const DATE: u16 = (1 << 5) | 1;
/// Where a field of 32 bits says that its value is in the ZIP64 fields.
const ELSEWHERE: u32 = u32::MAX;

/// An archive that is written.
#[derive(Debug)]
pub(crate) struct ZipWriter {
    path: PathBuf,
    file: BufWriter<File>,
    at: u64,
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    name: String,
    offset: u64,
    raw: u64,
    packed: u64,
    /// True where a size may need more than 32 bits.
    large: bool,
    crc: crc32fast::Hasher,
}

impl ZipWriter {
    /// Begins an archive, over whatever is there.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn create(path: &Path) -> Result<Self> {
        let mut options = File::options();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(path).map_err(|error| io_error(path, error))?;
        let file = BufWriter::with_capacity(1 << 18, file);
        Ok(Self { path: path.to_owned(), file, at: 0, entries: Vec::new() })
    }

    /// Begins an entry of at most `raw` bytes; its sizes are filled in by [`ZipWriter::end_entry`].
    pub(crate) fn begin_entry(&mut self, name: &str, raw: u64) -> Result<()> {
        // Compression makes bytes that cannot be compressed more by far less than an eighth.
        let large = raw.saturating_add(raw / 8).saturating_add(1 << 16) >= u64::from(ELSEWHERE);
        let crc = crc32fast::Hasher::new();
        let entry = Entry { name: name.to_owned(), offset: self.at, raw: 0, packed: 0, large, crc };
        let header = local_header(&entry, 0);
        self.entries.push(entry);
        self.write(&header)
    }

    /// Adds a piece that was compressed before.
    pub(crate) fn add(&mut self, packed: &[u8], size: PieceSize) -> Result<()> {
        if let Some(entry) = self.entries.last_mut() {
            entry.raw += u64::from(size.raw);
            entry.packed += u64::from(size.packed);
            let piece = crc32fast::Hasher::new_with_initial_len(size.crc, size.raw.into());
            entry.crc.combine(&piece);
        }
        self.write(packed)
    }

    /// Ends the entry.
    pub(crate) fn end_entry(&mut self) -> Result<()> {
        self.write(&LAST_BLOCK)?;
        let Some(entry) = self.entries.last_mut() else { return Ok(()) };
        entry.packed += LAST_BLOCK.len() as u64;
        let header = local_header(entry, entry.crc.clone().finalize());
        let (offset, end) = (entry.offset, self.at);
        let done = self
            .file
            .seek(SeekFrom::Start(offset))
            .and_then(|_| self.file.write_all(&header))
            .and_then(|()| self.file.seek(SeekFrom::Start(end)));
        done.map(|_| ()).map_err(|error| io_error(&self.path, error))
    }

    /// Writes the directory; returns how many bytes the file has, and the file, which is not durable yet.
    pub(crate) fn finish(mut self) -> Result<(u64, File)> {
        let start = self.at;
        let entries = std::mem::take(&mut self.entries);
        for entry in &entries {
            self.write(&central_header(entry))?;
        }
        let size = self.at - start;
        let end = end_of_directory(start, size, entries.len() as u64, self.at);
        self.write(&end)?;
        let Self { path, file, at, .. } = self;
        let file = file.into_inner().map_err(|error| io_error(&path, error.into_error()))?;
        Ok((at, file))
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.at += bytes.len() as u64;
        self.file.write_all(bytes).map_err(|error| io_error(&self.path, error))
    }
}

/// Fields in little endian, one after the other.
#[derive(Default)]
struct Fields(Vec<u8>);

impl Fields {
    fn u16(mut self, value: u16) -> Self {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    fn u32(mut self, value: u32) -> Self {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    fn u64(mut self, value: u64) -> Self {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    /// A value that says where it is when it does not fit.
    fn u32_or_elsewhere(self, value: u64, large: bool) -> Self {
        self.u32(if large { ELSEWHERE } else { u32::try_from(value).unwrap_or(ELSEWHERE) })
    }
}

/// The header before an entry.
fn local_header(entry: &Entry, crc: u32) -> Vec<u8> {
    let name = entry.name.as_bytes();
    let mut fields = Fields::default()
        .u32(LOCAL_HEADER)
        .u16(if entry.large { NEEDS_ZIP64 } else { NEEDS_DEFLATE })
        .u16(FLAGS)
        .u16(DEFLATED)
        .u16(0)
        .u16(DATE)
        .u32(crc)
        .u32_or_elsewhere(entry.packed, entry.large)
        .u32_or_elsewhere(entry.raw, entry.large)
        .u16(u16::try_from(name.len()).unwrap_or(u16::MAX))
        .u16(if entry.large { 20 } else { 0 });
    fields.0.extend_from_slice(name);
    if entry.large { fields.u16(1).u16(16).u64(entry.raw).u64(entry.packed).0 } else { fields.0 }
}

fn central_header(entry: &Entry) -> Vec<u8> {
    let name = entry.name.as_bytes();
    let large = entry.large || entry.offset >= u64::from(ELSEWHERE);
    let mut fields = Fields::default()
        .u32(CENTRAL_HEADER)
        // Made on Unix: the attributes below are a file's mode.
        .u16((3 << 8) | NEEDS_ZIP64)
        .u16(if large { NEEDS_ZIP64 } else { NEEDS_DEFLATE })
        .u16(FLAGS)
        .u16(DEFLATED)
        .u16(0)
        .u16(DATE)
        .u32(entry.crc.clone().finalize())
        .u32_or_elsewhere(entry.packed, large)
        .u32_or_elsewhere(entry.raw, large)
        .u16(u16::try_from(name.len()).unwrap_or(u16::MAX))
        .u16(if large { 28 } else { 0 })
        .u16(0)
        .u16(0)
        .u16(0)
        .u32(0o100_600 << 16)
        .u32_or_elsewhere(entry.offset, large);
    fields.0.extend_from_slice(name);
    if large { fields.u16(1).u16(24).u64(entry.raw).u64(entry.packed).u64(entry.offset).0 } else { fields.0 }
}

fn end_of_directory(start: u64, size: u64, entries: u64, at: u64) -> Vec<u8> {
    let large = [start, size].iter().any(|&value| value >= u64::from(ELSEWHERE)) || entries >= u64::from(u16::MAX);
    let mut fields = Fields::default();
    if large {
        fields = fields
            .u32(END_OF_DIRECTORY_64)
            .u64(44)
            .u16((3 << 8) | NEEDS_ZIP64)
            .u16(NEEDS_ZIP64)
            .u32(0)
            .u32(0)
            .u64(entries)
            .u64(entries)
            .u64(size)
            .u64(start)
            .u32(LOCATOR_64)
            .u32(0)
            .u64(at)
            .u32(1);
    }
    let count = if large { u16::MAX } else { u16::try_from(entries).unwrap_or(u16::MAX) };
    fields
        .u32(END_OF_DIRECTORY)
        .u16(0)
        .u16(0)
        .u16(count)
        .u16(count)
        .u32_or_elsewhere(size, large)
        .u32_or_elsewhere(start, large)
        .u16(0)
        .0
}

/// The SHA-256 of a file, in hex.
///
/// # Errors
/// `Io`.
pub(crate) fn sha256_of(path: &Path) -> Result<String> {
    let mut hasher = Sha256::new();
    let mut file = File::open(path).map_err(|error| io_error(path, error))?;
    std::io::copy(&mut file, &mut HashWriter(&mut hasher)).map_err(|error| io_error(path, error))?;
    Ok(migrate_core::catalog::hex(&hasher.finalize()))
}

struct HashWriter<'a>(&'a mut Sha256);

impl std::io::Write for HashWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::super::chunk::Piece;
    use super::*;

    /// Names and texts of the entries, as Python's `zipfile` reads them.
    fn entries(path: &Path) -> serde_json::Value {
        const UNZIP: &str = "
import json, sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as archive:
    assert archive.testzip() is None
    print(json.dumps({name: archive.read(name).decode() for name in archive.namelist()}))
";
        let output = Command::new("python3").args(["-c", UNZIP]).arg(path).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn add(zip: &mut ZipWriter, name: &str, at_most: u64, lines: &[&str]) {
        zip.begin_entry(name, at_most).unwrap();
        for line in lines {
            let piece = Piece::pack(line.as_bytes()).unwrap();
            zip.add(&piece.packed, piece.size).unwrap();
        }
        zip.end_entry().unwrap();
    }

    #[test]
    fn entries_of_pieces_are_read_by_others() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.zip");
        let mut zip = ZipWriter::create(&path).unwrap();
        add(&mut zip, "empty/documents.jsonl", 0, &[]);
        add(&mut zip, "a/documents.jsonl", 100, &["one\n", "two\n", ""]);
        // As an entry that may be of 8 GiB is written.
        add(&mut zip, "large/documents.jsonl", 8 << 30, &["three\n"]);
        let (bytes, _) = zip.finish().unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().len(), bytes);
        let expected = serde_json::json!({
            "empty/documents.jsonl": "", "a/documents.jsonl": "one\ntwo\n", "large/documents.jsonl": "three\n",
        });
        assert_eq!(entries(&path), expected);
    }

    /// The file has a hole in front, so that places need more than 32 bits.
    #[test]
    fn places_behind_four_gibibytes_are_read_by_others() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.zip");
        let mut zip = ZipWriter::create(&path).unwrap();
        zip.at = 5 << 30;
        zip.file.seek(SeekFrom::Start(zip.at)).unwrap();
        add(&mut zip, "a/documents.jsonl", 100, &["one\n"]);
        add(&mut zip, "b/documents.jsonl", 100, &["two\n"]);
        assert!(zip.finish().unwrap().0 > 5 << 30);
        let expected = serde_json::json!({ "a/documents.jsonl": "one\n", "b/documents.jsonl": "two\n" });
        assert_eq!(entries(&path), expected);
    }

    /// The vector of FIPS 180-2.
    #[test]
    fn a_file_has_its_published_hash() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("abc");
        std::fs::write(&path, "abc").unwrap();
        assert_eq!(sha256_of(&path).unwrap(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
