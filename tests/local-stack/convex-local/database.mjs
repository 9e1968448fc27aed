// What convex-test's database lacks, put on its class: real ids, the limits of stored documents, the real
// backend's words for a schema mismatch, and an index, because convex-test scans all documents on every look-up.
import { convexToJson } from "convex/values";
import { checkDocument, checkTableName } from "./limits.mjs";

const MARK = Symbol("prepared by local-stack");

/** Changes `DatabaseFake` of the opened convex-test for all databases made from now on. */
export function prepareDatabase(convexTest, numbers) {
  const { DatabaseFake } = convexTest;
  convexTest.useTableNameOfId((id) => numbers.tableOf(id));
  const prototype = DatabaseFake.prototype;
  if (prototype[MARK]) throw new Error("the database is already prepared");
  prototype[MARK] = true;

  prototype._generateId = (table) => numbers.mint(table);

  const { insert, _validate, _addWrite, commit, _resolveQuerySource } = prototype;

  prototype.insert = function (table, value) {
    if (table !== "_storage" && table !== "_scheduled_functions") {
      checkTableName(table);
      for (const name of ["_id", "_creationTime"]) {
        if (value[name] !== undefined) {
          throw new Error(`Provided document contains the system field '${name}'. Use db.insert without it.`);
        }
      }
    }
    return insert.call(this, table, value);
  };

  prototype._validate = function (table, document) {
    if (!table?.startsWith("_")) checkDocument(document);
    try {
      _validate.call(this, table, document);
    } catch (error) {
      throw new Error(
        `Failed to insert or update a document in table "${table}" because it does not match the schema: ` +
          error.message,
      );
    }
  };

  prototype._addWrite = function (id, document) {
    // A field that a patch sets to undefined is no field of the document, as a later schema sees it too.
    for (const name of Object.keys(document ?? {})) if (document[name] === undefined) delete document[name];
    indexOf(this, numbers).add(id, document);
    return _addWrite.call(this, id, document);
  };

  prototype.commit = function (commitTs = null) {
    const written = this._writes.at(-1) ?? {};
    commit.call(this, commitTs);
    if (this._writes.length === 0) {
      const index = indexOf(this, numbers);
      for (const id of Object.keys(written)) index.committed(id, this._documents[id]);
      // Results of queries that their function did not read to the end.
      this._queryResults = {};
    }
  };

  prototype._iterateDocs = function (table, callback) {
    visit(this, table, indexOf(this, numbers).idsIn(table), callback);
  };

  // An indexed read with equalities reads only the documents that can match; convex-test then checks the whole
  // range, sorts and filters as it does with all documents.
  prototype._resolveQuerySource = function (query) {
    const { source } = query;
    const equalities = source.type === "IndexRange" ? source.range.filter(({ type }) => type === "Eq") : [];
    if (equalities.length === 0) return _resolveQuerySource.call(this, query);
    const [table] = source.indexName.split(".");
    const candidates = indexOf(this, numbers).matching(table, equalities);
    if (candidates === null) return _resolveQuerySource.call(this, query);
    this._iterateDocs = (_, callback) => visit(this, table, candidates, callback);
    try {
      return _resolveQuerySource.call(this, query);
    } finally {
      delete this._iterateDocs;
    }
  };
}

/** Replaces all committed documents. */
export function replaceDocuments(database, documents) {
  database._documents = documents;
  INDEXES.delete(database);
}

function visit(database, table, ids, callback) {
  for (const id of ids) {
    const document = database.get(table, id);
    if (document !== null) callback(document);
  }
}

const INDEXES = new WeakMap();

function indexOf(database, numbers) {
  let index = INDEXES.get(database);
  if (index === undefined) {
    index = new DocumentIndex(numbers);
    INDEXES.set(database, index);
    for (const [id, document] of Object.entries(database._documents)) index.add(id, document);
  }
  return index;
}

/**
 * For each table the ids that may be in it, and for each set of fields asked for the ids that may have given
 * values there. "May": an id stays where a later write or a rollback made it wrong, because the reader looks at
 * the document as its transaction sees it and checks the range again.
 */
class DocumentIndex {
  #numbers;
  #ids = new Map();
  #documents = new Map();
  #byFields = new Map();

  constructor(numbers) {
    this.#numbers = numbers;
  }

  add(id, document) {
    if (document === null) return;
    const table = this.#numbers.tableOf(id);
    const ids = this.#ids.get(table) ?? new Set();
    this.#ids.set(table, ids.add(id));
    const versions = this.#documents.get(id) ?? new Set();
    this.#documents.set(id, versions.add(document));
    for (const index of this.#byFields.get(table)?.values() ?? []) put(index, id, document);
  }

  /** Forgets what a finished transaction tried for `id` and keeps what it stored, if anything. */
  committed(id, document) {
    if (document === undefined) {
      this.#ids.get(this.#numbers.tableOf(id))?.delete(id);
      this.#documents.delete(id);
      return;
    }
    this.#documents.set(id, new Set());
    this.add(id, document);
  }

  idsIn(table) {
    return this.#ids.get(table) ?? [];
  }

  /** Ids that may have the values of `equalities`, or null when only a scan can tell. */
  matching(table, equalities) {
    const wanted = equalities.map(({ value }) => keyOfEncoded(value));
    if (wanted.includes(null)) return null;
    const fields = equalities.map(({ fieldPath }) => fieldPath);
    const name = JSON.stringify(fields);
    const ofTable = this.#byFields.get(table) ?? new Map();
    this.#byFields.set(table, ofTable);
    let index = ofTable.get(name);
    if (index === undefined) {
      index = { fields, ids: new Map(), unkeyed: new Set() };
      ofTable.set(name, index);
      for (const id of this.idsIn(table)) {
        for (const document of this.#documents.get(id) ?? []) put(index, id, document);
      }
    }
    const found = index.ids.get(JSON.stringify(wanted)) ?? [];
    return index.unkeyed.size === 0 ? found : new Set([...found, ...index.unkeyed]);
  }
}

function put(index, id, document) {
  const values = index.fields.map((path) => keyOf(path.split(".").reduce((value, part) => value?.[part], document)));
  if (values.includes(null)) {
    index.unkeyed.add(id);
    return;
  }
  const key = JSON.stringify(values);
  const ids = index.ids.get(key) ?? new Set();
  index.ids.set(key, ids.add(id));
}

/** A text that is equal for equal scalars, or null for a value that is not a scalar. */
function keyOf(value) {
  if (value === undefined) return "undefined";
  if (value !== null && typeof value === "object" && !(value instanceof ArrayBuffer)) return null;
  return JSON.stringify(convexToJson(value));
}

/** The same for a value as a query carries it: already encoded, with `$undefined` for an absent field. */
function keyOfEncoded(value) {
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  if ("$undefined" in value) return "undefined";
  return "$integer" in value || "$float" in value || "$bytes" in value ? JSON.stringify(value) : null;
}
