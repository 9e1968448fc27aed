// Document ids in the format of the real backend (crates/value/src/id_v6.rs and base32.rs):
// varint(table number) ‖ 16 bytes ‖ u16 little-endian Fletcher-16 footer, in lower-case Crockford base32.
import { randomBytes } from "node:crypto";

const ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz";
const VALUE_OF = new Map([...ALPHABET].map((character, index) => [character, index]));
const INTERNAL_LENGTH = 16;
const MILLISECONDS_PER_DAY = 86_400_000;

/** Number of the first table that a user's schema declares. */
export const FIRST_USER_TABLE = 10_001;

/** Numbers for the system tables that functions can see. */
const SYSTEM_TABLES = { _storage: 540, _scheduled_functions: 541 };

/** What the backend calls them where it tells numbers. */
const SYSTEM_TABLE_NAMES = { _storage: "_file_storage" };

/** Writes the 16 bytes of `internal` as an id of table `number`. */
export function encodeId(number, internal) {
  if (internal.length !== INTERNAL_LENGTH) {
    throw new RangeError(`an internal id has ${INTERNAL_LENGTH} bytes, not ${internal.length}`);
  }
  const bytes = [...varint(number), ...internal];
  const footer = fletcher16(bytes);
  return base32(Uint8Array.from([...bytes, footer & 0xff, footer >> 8]));
}

/** Returns `{number, internal}`, or null when `text` is not the canonical form of an id. */
export function decodeId(text) {
  if (text.length < 31 || text.length > 37) return null;
  const bytes = fromBase32(text);
  if (bytes === null) return null;
  let number = 0;
  let used = 0;
  for (;;) {
    if (used >= 5 || used >= bytes.length) return null;
    const byte = bytes[used];
    number += (byte & 0x7f) * 2 ** (7 * used);
    used += 1;
    if (byte < 0x80) break;
  }
  if (number < 1 || number > 0xffff_ffff || bytes.length !== used + INTERNAL_LENGTH + 2) return null;
  const internal = bytes.subarray(used, used + INTERNAL_LENGTH);
  return encodeId(number, internal) === text ? { number, internal } : null;
}

/** Table numbers of one deployment: given to declared tables in name order, then as tables appear. */
export class TableNumbers {
  #byName = new Map(Object.entries(SYSTEM_TABLES));
  #byNumber = new Map(Object.entries(SYSTEM_TABLES).map(([name, number]) => [number, name]));
  // Ids that were met, so that a look-up does not decode the same text again and again.
  #known = new Map();

  declare(names) {
    for (const name of [...names].sort()) this.numberOf(name);
  }

  numberOf(name) {
    let number = this.#byName.get(name);
    if (number === undefined) {
      number = FIRST_USER_TABLE;
      while (this.#byNumber.has(number)) number += 1;
      this.#byName.set(name, number);
      this.#byNumber.set(number, name);
    }
    return number;
  }

  /** The numbers of users' tables by name. */
  ofUsers() {
    return new Map([...this.#byName].filter(([name]) => !name.startsWith("_")));
  }

  /** Replaces the numbers of all users' tables. */
  replace(numbers) {
    const system = [...this.#byName].filter(([name]) => name.startsWith("_"));
    this.#byName = new Map([...system, ...numbers]);
    this.#byNumber = new Map([...this.#byName].map(([name, number]) => [number, name]));
    this.#known.clear();
  }

  /** A new id: 14 random bytes and the day, as the backend makes them. */
  mint(table) {
    const day = Math.floor(Date.now() / MILLISECONDS_PER_DAY);
    const internal = Buffer.concat([randomBytes(14), Buffer.from([day >> 8, day & 0xff])]);
    const id = encodeId(this.numberOf(table), internal);
    this.#known.set(id, table);
    return id;
  }

  /** Name of the table that `id` belongs to, or null. */
  tableOf(id) {
    const known = this.#known.get(id);
    if (known !== undefined) return known;
    const decoded = decodeId(id);
    const table = decoded === null ? null : (this.#byNumber.get(decoded.number) ?? null);
    if (table !== null) this.#known.set(id, table);
    return table;
  }

  /** `{"10001": "users", …}`, as `_system/frontend/getTableMapping` gives it. */
  mapping() {
    const shown = (name) => SYSTEM_TABLE_NAMES[name] ?? name;
    const byNumber = [...this.#byNumber].sort(([a], [b]) => a - b);
    return Object.fromEntries(byNumber.map(([number, name]) => [String(number), shown(name)]));
  }

  userTables() {
    return [...this.#byName.keys()].filter((name) => !name.startsWith("_")).sort();
  }
}

function varint(number) {
  const bytes = [];
  let rest = number;
  while (rest >= 0x80) {
    bytes.push((rest % 0x80) | 0x80);
    rest = Math.floor(rest / 0x80);
  }
  bytes.push(rest);
  return bytes;
}

function fletcher16(bytes) {
  let c0 = 0;
  let c1 = 0;
  for (const byte of bytes) {
    c0 = (c0 + byte) & 0xff;
    c1 = (c1 + c0) & 0xff;
  }
  return (c1 << 8) | c0;
}

function base32(bytes) {
  let text = "";
  let buffer = 0;
  let bits = 0;
  for (const byte of bytes) {
    buffer = (buffer << 8) | byte;
    bits += 8;
    while (bits >= 5) {
      bits -= 5;
      text += ALPHABET[(buffer >> bits) & 31];
    }
    buffer &= (1 << bits) - 1;
  }
  return bits > 0 ? text + ALPHABET[(buffer << (5 - bits)) & 31] : text;
}

function fromBase32(text) {
  const bytes = [];
  let buffer = 0;
  let bits = 0;
  for (const character of text) {
    const value = VALUE_OF.get(character);
    if (value === undefined) return null;
    buffer = (buffer << 5) | value;
    bits += 5;
    if (bits >= 8) {
      bits -= 8;
      bytes.push((buffer >> bits) & 0xff);
    }
    buffer &= (1 << bits) - 1;
  }
  return Uint8Array.from(bytes);
}
