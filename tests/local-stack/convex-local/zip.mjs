// Reads ZIP archives: the central directory, then one entry at a time, stored or deflated, with its checksum.
import { crc32, inflateRawSync } from "node:zlib";

const END = 0x06054b50;
const END_64 = 0x06064b50;
const LOCATOR_64 = 0x07064b50;
const CENTRAL = 0x02014b50;
const LOCAL = 0x04034b50;
const EXTRA_64 = 1;
const WHOLE_32 = 0xffff_ffff;
const WHOLE_16 = 0xffff;
const STORED = 0;
const DEFLATED = 8;

/** Thrown for bytes that are no archive, or a damaged one. */
export class InvalidZip extends Error {
  constructor(reason) {
    super(`invalid zip file: ${reason}`);
  }
}

/** The entries of `archive` in the order of its directory: `{name, read()}`. */
export function readZip(archive) {
  const entries = whole(() => entriesOf(archive));
  return entries.map((entry) => ({ name: entry.name, read: () => whole(() => readEntry(archive, entry)) }));
}

function whole(read) {
  try {
    return read();
  } catch (error) {
    throw error instanceof RangeError ? new InvalidZip("it is cut off") : error;
  }
}

function entriesOf(archive) {
  const { count, start } = directoryOf(archive);
  const entries = [];
  let at = start;
  for (let index = 0; index < count; index += 1) {
    if (archive.readUInt32LE(at) !== CENTRAL) throw new InvalidZip(`entry ${index} of the directory is not one`);
    const [nameLength, extraLength, commentLength] = [28, 30, 32].map((offset) => archive.readUInt16LE(at + offset));
    const extra = at + 46 + nameLength;
    const [size, compressed, offset] = wide(archive, extra, extraLength, [
      archive.readUInt32LE(at + 24),
      archive.readUInt32LE(at + 20),
      archive.readUInt32LE(at + 42),
    ]);
    entries.push({
      name: archive.toString("utf8", at + 46, extra),
      method: archive.readUInt16LE(at + 10),
      checksum: archive.readUInt32LE(at + 16),
      size,
      compressed,
      offset,
    });
    at = extra + extraLength + commentLength;
  }
  return entries;
}

function directoryOf(archive) {
  for (let at = archive.length - 22; at >= Math.max(0, archive.length - 22 - WHOLE_16); at -= 1) {
    if (archive.readUInt32LE(at) !== END) continue;
    const [count, start] = [archive.readUInt16LE(at + 10), archive.readUInt32LE(at + 16)];
    if (count !== WHOLE_16 && start !== WHOLE_32) return { count, start };
    if (at < 20 || archive.readUInt32LE(at - 20) !== LOCATOR_64) return { count, start };
    const end = Number(archive.readBigUInt64LE(at - 12));
    if (archive.readUInt32LE(end) !== END_64) throw new InvalidZip("the end of its directory is not found");
    return { count: Number(archive.readBigUInt64LE(end + 32)), start: Number(archive.readBigUInt64LE(end + 48)) };
  }
  throw new InvalidZip("the end of its directory is not found");
}

/** Numbers that do not fit 32 bits stand in the extra field, one after another. */
function wide(archive, start, length, numbers) {
  if (!numbers.includes(WHOLE_32)) return numbers;
  for (let at = start; at < start + length; at += 4 + archive.readUInt16LE(at + 2)) {
    if (archive.readUInt16LE(at) !== EXTRA_64) continue;
    let next = at + 4;
    return numbers.map((number) => {
      if (number !== WHOLE_32) return number;
      next += 8;
      return Number(archive.readBigUInt64LE(next - 8));
    });
  }
  return numbers;
}

function readEntry(archive, { name, method, checksum, size, compressed, offset }) {
  if (archive.readUInt32LE(offset) !== LOCAL) throw new InvalidZip(`${name} is not where the directory says`);
  const start = offset + 30 + archive.readUInt16LE(offset + 26) + archive.readUInt16LE(offset + 28);
  const bytes = archive.subarray(start, start + compressed);
  let content;
  try {
    if (method === STORED) content = bytes;
    else if (method === DEFLATED) content = inflateRawSync(bytes);
    else throw new Error(`this stand-in does not know compression ${method}`);
  } catch (error) {
    throw new InvalidZip(`${name}: ${error.message}`);
  }
  if (content.length !== size || crc32(content) !== checksum) throw new InvalidZip(`${name} is damaged`);
  return content;
}
