//! A table's documents on disk while a snapshot is made: a file of chunks that is only appended to.
//!
//! A chunk is one written batch: a header, the documents' ids, the references in them, and the lines as a piece of a
//! deflate stream that ends at a byte. Pieces of several chunks one after the other are a stream too, so that the archive
//! takes them over as they are, and several threads can make them. A process that is killed leaves at most a torn chunk at
//! the end, which is cut off when the file is opened again; its batch was not committed, and is written again.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};
use migrate_core::error::{Error, ErrorKind, Result};

/// Level of the compression. By measurement with rows of 511 bytes, a million of them take 1.4 s and shrink to 41 %; level 2
/// takes 2.5 s for 31 %, level 3 takes 3.3 s for 29 %.
const LEVEL: u32 = 1;

const MAGIC: [u8; 4] = *b"S2CC";
const HEADER_BYTES: usize = 48;
pub(crate) const ID_BYTES: usize = 16;
/// The first half of the parent's bytes, and the row's place in its chunk.
pub(crate) const REFERENCE_BYTES: usize = 8 + 4;

/// Lines, compressed, with what is needed to put them into an archive.
#[derive(Debug, Default, Clone)]
pub(crate) struct Piece {
    pub(crate) packed: Vec<u8>,
    pub(crate) size: PieceSize,
}

/// How large a piece is, and its checksum.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PieceSize {
    pub(crate) raw: u32,
    pub(crate) packed: u32,
    pub(crate) crc: u32,
}

impl Piece {
    /// Compresses lines.
    ///
    /// # Errors
    /// `TooLarge` for more than 1 GiB of them.
    pub(crate) fn pack(lines: &[u8]) -> Result<Self> {
        if lines.is_empty() {
            return Ok(Self::default());
        }
        let mut packed = Vec::with_capacity(lines.len() / 3 + 64);
        let mut compress = Compress::new(Compression::new(LEVEL), false);
        loop {
            let done = usize::try_from(compress.total_in()).unwrap_or(usize::MAX);
            let rest = lines.get(done..).unwrap_or_default();
            let status = compress.compress_vec(rest, &mut packed, FlushCompress::Full);
            status.map_err(|error| Error::new(ErrorKind::Unexpected, "compress documents").with_source(error))?;
            let is_read = usize::try_from(compress.total_in()).unwrap_or(usize::MAX) >= lines.len();
            // A flush is complete when there was room left behind it.
            if is_read && packed.len() < packed.capacity() {
                break;
            }
            packed.reserve(packed.capacity().max(4096) / 2);
        }
        let size = PieceSize { raw: length(lines)?, packed: length(&packed)?, crc: crc32fast::hash(lines) };
        Ok(Self { packed, size })
    }
}

fn length(bytes: &[u8]) -> Result<u32> {
    u32::try_from(bytes.len()).ok().filter(|&length| length < 1 << 30).ok_or_else(|| {
        Error::new(ErrorKind::TooLarge, "keep so many bytes in one chunk").with_context("bytes", bytes.len())
    })
}

/// Decompresses a piece.
///
/// # Errors
/// `State` when it is not what was written.
pub(crate) fn unpack(packed: &[u8], size: PieceSize, path: &Path) -> Result<Vec<u8>> {
    let raw = usize::try_from(size.raw).unwrap_or(usize::MAX);
    let mut lines = Vec::with_capacity(raw.saturating_add(1));
    if raw > 0 {
        let status = Decompress::new(false).decompress_vec(packed, &mut lines, FlushDecompress::Sync);
        if !matches!(status, Ok(Status::Ok | Status::BufError)) {
            return Err(corrupt(path));
        }
    }
    if lines.len() == raw && crc32fast::hash(&lines) == size.crc { Ok(lines) } else { Err(corrupt(path)) }
}

/// What one batch adds to a table.
#[derive(Debug, Default)]
pub(crate) struct NewChunk {
    /// Bytes of each document's id, one after the other.
    pub(crate) ids: Vec<u8>,
    /// The references, each [`REFERENCE_BYTES`] long.
    pub(crate) references: Vec<u8>,
    /// The documents.
    pub(crate) documents: Piece,
    /// The rows' keys, where they have a table of their own: a line for each document.
    pub(crate) keys: Piece,
}

/// Where a chunk is, and what is in it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Chunk {
    offset: u64,
    pub(crate) rows: u32,
    pub(crate) references: u32,
    pub(crate) documents: PieceSize,
    pub(crate) keys: PieceSize,
}

impl Chunk {
    fn ids_at(&self) -> u64 {
        self.offset + HEADER_BYTES as u64
    }

    fn references_at(&self) -> u64 {
        self.ids_at() + u64::from(self.rows) * ID_BYTES as u64
    }

    fn documents_at(&self) -> u64 {
        self.references_at() + u64::from(self.references) * REFERENCE_BYTES as u64
    }

    fn keys_at(&self) -> u64 {
        self.documents_at() + u64::from(self.documents.packed)
    }

    fn end(&self) -> u64 {
        self.keys_at() + u64::from(self.keys.packed)
    }

    /// The header, and the checksum over all that follows it.
    fn header(&self, body: u32) -> [u8; HEADER_BYTES] {
        let numbers = [
            u32::from_le_bytes(MAGIC),
            self.rows,
            self.references,
            self.documents.raw,
            self.documents.packed,
            self.documents.crc,
            self.keys.raw,
            self.keys.packed,
            self.keys.crc,
            body,
            0,
            0,
        ];
        let mut header = [0; HEADER_BYTES];
        for (slot, number) in header.chunks_exact_mut(4).zip(numbers) {
            slot.copy_from_slice(&number.to_le_bytes());
        }
        header
    }

    /// Reads a header; `None` where there is none.
    fn parse(offset: u64, header: &[u8; HEADER_BYTES]) -> Option<(Self, u32)> {
        let mut numbers = header.chunks_exact(4).filter_map(|bytes| Some(u32::from_le_bytes(bytes.try_into().ok()?)));
        let mut next = || numbers.next();
        if next()? != u32::from_le_bytes(MAGIC) {
            return None;
        }
        let (rows, references) = (next()?, next()?);
        if rows == 0 {
            return None;
        }
        let documents = PieceSize { raw: next()?, packed: next()?, crc: next()? };
        let keys = PieceSize { raw: next()?, packed: next()?, crc: next()? };
        Some((Self { offset, rows, references, documents, keys }, next()?))
    }
}

/// The chunks of one table.
#[derive(Debug)]
pub(crate) struct ChunkFile {
    path: PathBuf,
    file: File,
    end: u64,
    chunks: Vec<Chunk>,
}

impl ChunkFile {
    /// Opens a table's chunks, or begins them. What a killed process left half written is cut off.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(path).map_err(|error| io_error(path, error))?;
        let mut opened = Self { path: path.to_owned(), file, end: 0, chunks: Vec::new() };
        opened.scan()?;
        opened.file.set_len(opened.end).map_err(|error| io_error(path, error))?;
        Ok(opened)
    }

    /// Finds the whole chunks. Only the last one can be torn, so only that one's checksum is looked at.
    fn scan(&mut self) -> Result<()> {
        let failed = |error| io_error(&self.path, error);
        let size = self.file.metadata().map_err(failed)?.len();
        let mut last_body = 0;
        while self.end + (HEADER_BYTES as u64) <= size {
            let mut header = [0; HEADER_BYTES];
            self.file.seek(SeekFrom::Start(self.end)).map_err(failed)?;
            self.file.read_exact(&mut header).map_err(failed)?;
            match Chunk::parse(self.end, &header) {
                Some((chunk, body)) if chunk.end() <= size => {
                    self.end = chunk.end();
                    last_body = body;
                    self.chunks.push(chunk);
                }
                _ => break,
            }
        }
        if let Some(last) = self.chunks.last().copied() {
            let body = self.read(last.ids_at(), last.end() - last.ids_at())?;
            if crc32fast::hash(&body) != last_body {
                self.end = last.offset;
                self.chunks.pop();
            }
        }
        Ok(())
    }

    /// Appends a chunk.
    ///
    /// # Errors
    /// `Io`; the chunk is not there then.
    pub(crate) fn append(&mut self, new: &NewChunk) -> Result<()> {
        let count = |bytes: &[u8], each: usize| u32::try_from(bytes.len() / each).unwrap_or(u32::MAX);
        let chunk = Chunk {
            offset: self.end,
            rows: count(&new.ids, ID_BYTES),
            references: count(&new.references, REFERENCE_BYTES),
            documents: new.documents.size,
            keys: new.keys.size,
        };
        let mut body = crc32fast::Hasher::new();
        let parts = [&new.ids, &new.references, &new.documents.packed, &new.keys.packed];
        for part in parts {
            body.update(part);
        }
        let mut write = || {
            self.file.seek(SeekFrom::Start(self.end))?;
            self.file.write_all(&chunk.header(body.clone().finalize()))?;
            parts.iter().try_for_each(|part| self.file.write_all(part))
        };
        write().map_err(|error| io_error(&self.path, error))?;
        self.end = chunk.end();
        self.chunks.push(chunk);
        Ok(())
    }

    pub(crate) fn chunks(&self) -> &[Chunk] {
        &self.chunks
    }

    /// The ids of a chunk's documents, each [`ID_BYTES`] long.
    pub(crate) fn ids(&mut self, chunk: Chunk) -> Result<Vec<u8>> {
        self.read(chunk.ids_at(), u64::from(chunk.rows) * ID_BYTES as u64)
    }

    /// A chunk's references, each [`REFERENCE_BYTES`] long.
    pub(crate) fn references(&mut self, chunk: Chunk) -> Result<Vec<u8>> {
        self.read(chunk.references_at(), u64::from(chunk.references) * REFERENCE_BYTES as u64)
    }

    /// A chunk's documents as they are on disk.
    pub(crate) fn packed_documents(&mut self, chunk: Chunk) -> Result<Vec<u8>> {
        self.read(chunk.documents_at(), chunk.documents.packed.into())
    }

    /// The keys of a chunk's rows as they are on disk.
    pub(crate) fn packed_keys(&mut self, chunk: Chunk) -> Result<Vec<u8>> {
        self.read(chunk.keys_at(), chunk.keys.packed.into())
    }

    /// A chunk's documents, a line each.
    pub(crate) fn documents(&mut self, chunk: Chunk) -> Result<Vec<u8>> {
        let packed = self.packed_documents(chunk)?;
        unpack(&packed, chunk.documents, &self.path)
    }

    /// The keys of a chunk's rows, a line each.
    pub(crate) fn keys(&mut self, chunk: Chunk) -> Result<Vec<u8>> {
        let packed = self.packed_keys(chunk)?;
        unpack(&packed, chunk.keys, &self.path)
    }

    fn read(&mut self, at: u64, bytes: u64) -> Result<Vec<u8>> {
        let mut read = vec![0; usize::try_from(bytes).unwrap_or(usize::MAX)];
        let done = self.file.seek(SeekFrom::Start(at)).and_then(|_| self.file.read_exact(&mut read));
        done.map(|()| read).map_err(|error| io_error(&self.path, error))
    }
}

pub(crate) fn io_error(path: &Path, error: std::io::Error) -> Error {
    Error::new(ErrorKind::Io, "read or write a file of the snapshot")
        .with_context("file", path.display())
        .with_remedy("check the folder's rights and the disk's free space, then run the same command")
        .with_source(error)
}

fn corrupt(path: &Path) -> Error {
    Error::new(ErrorKind::State, "read the snapshot's documents: the file is not what was written")
        .with_context("file", path.display())
        .with_remedy("begin anew: --fresh")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn chunk(rows: u8, text: &[u8]) -> NewChunk {
        NewChunk {
            ids: (0..rows).flat_map(|row| [row; ID_BYTES]).collect(),
            references: [7; REFERENCE_BYTES].to_vec(),
            documents: Piece::pack(text).unwrap(),
            keys: Piece::default(),
        }
    }

    #[test]
    fn chunks_are_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("orders.chunks");
        let mut file = ChunkFile::open(&path).unwrap();
        file.append(&chunk(2, b"{\"a\":1}\n{\"a\":2}\n")).unwrap();
        file.append(&chunk(1, b"{\"a\":3}\n")).unwrap();
        drop(file);
        let mut file = ChunkFile::open(&path).unwrap();
        let [first, second] = file.chunks().try_into().unwrap();
        assert_eq!(file.documents(first).unwrap(), b"{\"a\":1}\n{\"a\":2}\n");
        assert_eq!(file.documents(second).unwrap(), b"{\"a\":3}\n");
        assert_eq!(file.ids(first).unwrap().len(), 2 * ID_BYTES);
        assert_eq!(file.references(second).unwrap(), [7; REFERENCE_BYTES]);
        assert!(file.keys(second).unwrap().is_empty());
    }

    #[test]
    fn a_torn_chunk_is_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("orders.chunks");
        let mut file = ChunkFile::open(&path).unwrap();
        file.append(&chunk(1, b"{\"a\":1}\n")).unwrap();
        let whole = file.end;
        file.append(&chunk(1, b"{\"a\":2}\n")).unwrap();
        let end = file.end;
        drop(file);
        let bytes = std::fs::read(&path).unwrap();
        for cut in whole..end {
            let cut = usize::try_from(cut).unwrap();
            std::fs::write(&path, &bytes[..cut]).unwrap();
            assert_eq!(ChunkFile::open(&path).unwrap().chunks().len(), 1, "cut at {cut}");
            // A file system may have kept the length and lost the bytes.
            let mut zeros = bytes[..cut].to_vec();
            zeros.resize(bytes.len(), 0);
            std::fs::write(&path, &zeros).unwrap();
            assert_eq!(ChunkFile::open(&path).unwrap().chunks().len(), 1, "zeros from {cut}");
        }
    }

    #[test]
    fn other_bytes_are_noticed() {
        let piece = Piece::pack(b"some lines\n").unwrap();
        let path = Path::new("x");
        assert_eq!(unpack(&piece.packed, piece.size, path).unwrap(), b"some lines\n");
        for at in 0..piece.packed.len() {
            let mut other = piece.packed.clone();
            other[at] ^= 0x10;
            if let Ok(lines) = unpack(&other, piece.size, path) {
                assert_eq!(lines, b"some lines\n", "byte {at}");
            }
        }
    }

    proptest! {
        /// Pieces one after the other, with an empty last block, are one deflate stream.
        #[test]
        fn pieces_are_one_stream(lines in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..3000), 0..6)) {
            let mut stream = Vec::new();
            for line in &lines {
                stream.extend(Piece::pack(line).unwrap().packed);
            }
            stream.extend(super::super::zip::LAST_BLOCK);
            let mut whole = Vec::new();
            std::io::Read::read_to_end(&mut flate2::read::DeflateDecoder::new(&*stream), &mut whole).unwrap();
            prop_assert_eq!(whole, lines.concat());
        }
    }
}
