// Limits of stored documents that convex-test does not check: crates/value/src/{size,array,object}.rs,
// crates/common/src/document.rs and crates/convex/sync_types/src/identifier.rs of the backend.
import { getDocumentSize } from "convex/values";

const MAX_DOCUMENT_SIZE = 1 << 20;
const MAX_DOCUMENT_NESTING = 16;
const MAX_ARRAY_LENGTH = 8_192;
const MAX_OBJECT_FIELDS = 1_024;
const MAX_FIELD_NAME_LENGTH = 1_024;
const MAX_TABLE_NAME_LENGTH = 64;
const SYSTEM_FIELDS = new Set(["_id", "_creationTime"]);
// Stands for the system fields of a document that has none yet: an id has 32 characters, a time is a number.
const PLACEHOLDER = { _id: "0".repeat(32), _creationTime: 0 };

/** Throws when `document`, as it is to be stored, is one the real backend refuses. */
export function checkDocument(document) {
  for (const name of Object.keys(document)) {
    if (name.startsWith("_") && !SYSTEM_FIELDS.has(name)) {
      throw new Error(
        `Field '${name}' starts with an underscore, which is only allowed for system fields like '_id'`,
      );
    }
  }
  const nesting = checkValue(document);
  if (nesting > MAX_DOCUMENT_NESTING) {
    throw new Error(
      `Document is too nested (nested ${nesting} levels deep > maximum nesting ${MAX_DOCUMENT_NESTING})`,
    );
  }
  const size = getDocumentSize({ ...PLACEHOLDER, ...document });
  if (size > MAX_DOCUMENT_SIZE) {
    throw new Error(`Value is too large (${(size / (1 << 20)).toFixed(2)} MiB > maximum size 1 MiB)`);
  }
}

/** Throws when `name` cannot be a user's table. */
export function checkTableName(name) {
  if (name.startsWith("_")) {
    throw new Error(`Invalid table name '${name}': names that start with an underscore are reserved for system tables`);
  }
  if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name) || name.length > MAX_TABLE_NAME_LENGTH) {
    throw new Error(
      `Invalid table name '${name}': a name starts with a letter, has letters, digits and underscores only, ` +
        `and at most ${MAX_TABLE_NAME_LENGTH} of them`,
    );
  }
}

/** Checks arrays, objects and field names at every depth; returns the depth of `value`. */
function checkValue(value) {
  if (Array.isArray(value)) {
    if (value.length > MAX_ARRAY_LENGTH) {
      throw new Error(`Array length is too long (${value.length} > maximum length ${MAX_ARRAY_LENGTH})`);
    }
    return 1 + value.reduce((deepest, item) => Math.max(deepest, checkValue(item)), 0);
  }
  if (value === null || typeof value !== "object" || value instanceof ArrayBuffer) return 0;
  const fields = Object.entries(value).filter(([, field]) => field !== undefined);
  if (fields.length > MAX_OBJECT_FIELDS) {
    throw new Error(`Object has too many fields (${fields.length} > maximum number ${MAX_OBJECT_FIELDS})`);
  }
  let deepest = 0;
  for (const [name, field] of fields) {
    checkFieldName(name);
    deepest = Math.max(deepest, checkValue(field));
  }
  return 1 + deepest;
}

function checkFieldName(name) {
  if (name.length > MAX_FIELD_NAME_LENGTH) {
    throw new Error(`Field name ${name} exceeds maximum field name length ${MAX_FIELD_NAME_LENGTH}.`);
  }
  if (name.startsWith("$")) {
    throw new Error(`Field name ${name} starts with a '$', which is reserved.`);
  }
  if (!/^[\x20-\x7e]*$/.test(name)) {
    throw new Error(
      `Field name ${name} has an invalid character: Field names can only contain non-control ASCII characters`,
    );
  }
}
