// What an archive of an import holds (crates/application/src/snapshot_import/parse.rs).
import { parseRow, readerOf } from "./exported.mjs";
import { checkTableName } from "./limits.mjs";
import { readZip } from "./zip.mjs";

/**
 * Reads `archive`: `numbers` is what `_tables` says, `tables` has for each table with rows its name and `rows()`, which
 * gives them as values of the convex package.
 */
export function readArchive(archive) {
  const numbers = [];
  const tables = new Map();
  const schemas = new Map();
  for (const entry of readZip(archive)) {
    const content = contentOf(entry.name);
    if (content === null) continue;
    const { table, isSchema } = content;
    if (table === "_tables") {
      if (!isSchema) numbers.push(...tableNumbers(linesOf(entry)));
      continue;
    }
    if (table.startsWith("_")) continue;
    checkTableName(table);
    if (isSchema) {
      schemas.set(table, readerOf(linesOf(entry), entry.name));
    } else {
      tables.set(table, [...(tables.get(table) ?? []), entry]);
    }
  }
  const withRows = [...tables].map(([name, entries]) => {
    const lines = entries.flatMap(linesOf);
    // All of them are read before anything is asked for, so that no line that is no JSON gets further.
    const parsed = lines.map((line, index) => parseRow(line, index + 1));
    return {
      name,
      count: lines.length,
      firstId: parsed[0]?._id,
      isMissingId: parsed.some((row) => row?._id === undefined),
      *rows() {
        const read = schemas.get(name) ?? readerOf(undefined, name);
        for (const [index, line] of lines.entries()) {
          const value = read(line, index + 1);
          if (value === null || typeof value !== "object" || Array.isArray(value) || value instanceof ArrayBuffer) {
            throw new Error(`Row ${index + 1} wasn't an object`);
          }
          yield value;
        }
      },
    };
  });
  return { numbers, tables: withRows };
}

/** Which table a file is of, and whether it says how its rows are written; null for a file that is for nothing. */
function contentOf(name) {
  const parts = name.split("/");
  if (parts.at(-2) === "_storage" && parts.at(-1) !== "") {
    throw new Error(`this stand-in stores no files, but the archive has ${name}`);
  }
  const file = parts.at(-1);
  if (parts.length < 2 || (file !== "documents.jsonl" && file !== "generated_schema.jsonl")) return null;
  if (parts.at(-4) === "_components") throw new Error(`this stand-in has no components, but the archive has ${name}`);
  return { table: parts.at(-2), isSchema: file === "generated_schema.jsonl" };
}

/** The lines of a file; a line that is empty is one, too. */
function linesOf(entry) {
  const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(entry.read());
  const lines = text.split("\n");
  if (lines.at(-1) === "") lines.pop();
  return lines;
}

function tableNumbers(lines) {
  const rows = lines.map((line, index) => parseRow(line, index + 1));
  const numbers = rows.map(({ name, id }) => {
    if (typeof name !== "string" || !Number.isInteger(id)) throw new Error("a row of _tables has a name and an id");
    return [name, id];
  });
  // Tables of the deployment itself are in every export; they are not replaced.
  const ofUsers = numbers.filter(([name]) => !name.startsWith("_"));
  ofUsers.forEach(([name]) => checkTableName(name));
  return ofUsers;
}
