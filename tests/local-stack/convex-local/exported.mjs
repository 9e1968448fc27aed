// Rows of an archive in their three encodings (crates/value/src/export.rs, crates/shape_inference/src), as values of
// the convex package.
import { jsonToConvex } from "convex/values";
import { parseShape, readHint, shapedValue } from "./shape.mjs";

const MIN_INT64 = -(2n ** 63n);
const MAX_INT64 = 2n ** 63n - 1n;
// A text, which is left alone, or a number.
const TOKENS = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;

/** Returns how to read a line: from the lines of `generated_schema.jsonl`, or undefined where there is none. */
export function readerOf(schemaLines, file) {
  if (schemaLines === undefined) return plainRow;
  const [first, ...overrides] = schemaLines.map((line, index) => parseRow(line, index + 1));
  if (first === "uniform") return uniformRow;
  if (typeof first !== "string") throw new Error("first line of generated_schema must be a string");
  let shape;
  try {
    shape = parseShape(first);
  } catch (error) {
    throw new Error(`cannot parse ${file}: ${error.message}`);
  }
  const hints = new Map();
  for (const override of overrides) {
    const entries = Object.entries(override ?? {});
    if (entries.length !== 1) throw new Error("override object should have one item");
    const [[id, hint]] = entries;
    hints.set(id, readHint(hint));
  }
  return (line, row) => {
    const value = parseRow(line, row);
    return inRow(row, () => shapedValue(value, [shape], hints.get(value?._id)));
  };
}

/** Parses a line as JSON. */
export function parseRow(line, row) {
  try {
    return JSON.parse(line);
  } catch (error) {
    throw new Error(`Row ${row} wasn't valid JSON: ${error.message}`);
  }
}

/** Every number is a float, and nothing else has a form. */
function plainRow(line, row) {
  const value = parseRow(line, row);
  return inRow(row, () => {
    checkReserved(value);
    return value;
  });
}

/** `5` is an integer and `5.0` a float, which JSON's own parser does not tell apart. */
function uniformRow(line, row) {
  parseRow(line, row);
  const marked = line.replace(TOKENS, (token) => {
    if (!/^-?\d+$/.test(token) || token === "-0") return token;
    const number = BigInt(token);
    return number < MIN_INT64 || number > MAX_INT64 ? token : JSON.stringify(encodedInteger(number));
  });
  return inRow(row, () => jsonToConvex(JSON.parse(marked)));
}

function encodedInteger(number) {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64LE(number);
  return { $integer: bytes.toString("base64") };
}

function checkReserved(value) {
  if (value === null || typeof value !== "object") return;
  for (const [name, item] of Object.entries(value)) {
    if (name.startsWith("$")) throw new Error(`Field name ${name} starts with a '$', which is reserved.`);
    checkReserved(item);
  }
}

function inRow(row, read) {
  try {
    return read();
  } catch (error) {
    throw new Error(`Row ${row} wasn't a valid Convex value: ${error.message}`);
  }
}
