// Snapshot imports (crates/application/src/snapshot_import): uploads, the rows that tell how imports stand, and the one
// worker that reads archives and switches them in.
import { readArchive } from "./archive.mjs";
import { encodeId } from "./ids.mjs";

const IMPORTS_TABLE = 521;
const MODES = new Set(["requireEmpty", "append", "replace", "replaceAll"]);
const MIN_PART = 5 << 20;
const MAX_PARTS = 10_000;
const LISTED = 20;

/** A refusal of a request, with the code that tells why. */
export class ImportRefused extends Error {
  constructor(code, message) {
    super(message);
    this.code = code;
  }
}

export class Imports {
  #deployment;
  #uploads = new Map();
  #rows = new Map();
  #turn = Promise.resolve();
  #release = null;

  constructor(deployment) {
    this.#deployment = deployment;
  }

  startUpload() {
    const token = `upload-${this.#uploads.size + 1}`;
    this.#uploads.set(token, []);
    return { uploadToken: token };
  }

  /** Parts are appended in the order of their arrival, so one that is out of order is refused. */
  uploadPart(uploadToken, partNumber, bytes) {
    const parts = this.#upload(uploadToken);
    const due = parts.length + 1;
    if (partNumber !== due) {
      throw new ImportRefused("PartOutOfOrder", `part ${partNumber} came where part ${due} was due`);
    }
    if (due > MAX_PARTS) throw new ImportRefused("TooManyParts", `an upload has at most ${MAX_PARTS} parts`);
    const token = `${uploadToken}-part-${due}`;
    parts.push({ token, bytes });
    return token;
  }

  finishUpload({ import: { tableName, componentPath, format, mode = "requireEmpty" }, uploadToken, partTokens }) {
    const parts = this.#upload(uploadToken);
    if (format !== "zip") throw new ImportRefused("UnsupportedFormat", "this stand-in imports `zip` only");
    if (tableName != null) throw new ImportRefused("InvalidName", "ZIP import cannot have table name");
    if (componentPath) throw new ImportRefused("UnsupportedComponent", "this stand-in has no components");
    if (!MODES.has(mode)) throw new ImportRefused("BadJsonBody", `unknown mode ${mode}`);
    if (parts.length === 0 || JSON.stringify(parts.map(({ token }) => token)) !== JSON.stringify(partTokens)) {
      throw new ImportRefused("InvalidPart", `the upload has ${parts.length} parts, and these are not their tokens`);
    }
    const small = parts.slice(0, -1).findIndex(({ bytes }) => bytes.length < MIN_PART);
    if (small >= 0) {
      const message = `part ${small + 1} is below ${MIN_PART} bytes, which only the last one may be`;
      throw new ImportRefused("EntityTooSmall", message);
    }
    const archive = Buffer.concat(parts.map(({ bytes }) => bytes));
    const row = this.#add(mode, archive, { state: "uploaded" });
    this.#next(() => this.#examine(row));
    return { importId: row._id };
  }

  /** Lets an import that waits for it begin; nothing happens to any other. */
  confirm(importId) {
    const row = this.#known(importId);
    if (row.state.state !== "waiting_for_confirmation") return;
    row.state = { state: "in_progress", progress_message: "Importing", checkpoint_messages: [] };
    this.#next(() => this.#perform(row));
  }

  cancel(importId) {
    const row = this.#known(importId);
    const { state } = row.state;
    if (state === "completed") throw new ImportRefused("ImportAlreadyCompleted", "The import has completed already");
    if (state === "failed") throw new ImportRefused("ImportAlreadyFailed", "The import has failed already");
    row.state = { state: "failed", error_message: "Import canceled" };
  }

  /** The row of an import as `_system/cli/queryImport` gives it, or null. */
  query(importId) {
    return shown(this.#rows.get(importId));
  }

  /** The last imports, the newest first. */
  list() {
    return [...this.#rows.values()].reverse().slice(0, LISTED).map(shown);
  }

  /** Begins an import of somebody else, or ends it. Meanwhile no other is worked on. */
  foreign(isRunning) {
    if (!isRunning) {
      this.#release?.();
      this.#release = null;
      return;
    }
    if (this.#release !== null) throw new ImportRefused("ImportInProgress", "somebody else's import is in progress");
    const message = 'Importing "somebodyElses"';
    const state = { state: "in_progress", progress_message: message, checkpoint_messages: [] };
    const row = this.#add("replace", null, state);
    let end;
    const ended = new Promise((resolve) => {
      end = resolve;
    });
    this.#turn = this.#turn.then(() => ended);
    this.#release = () => {
      complete(row);
      end();
    };
  }

  #add(mode, archive, state) {
    const internal = Buffer.alloc(16);
    internal.writeUInt32BE(this.#rows.size, 12);
    const _id = encodeId(IMPORTS_TABLE, internal);
    const row = { _id, _creationTime: Date.now(), mode, archive, state, checkpoints: null };
    this.#rows.set(_id, row);
    return row;
  }

  #upload(token) {
    const parts = this.#uploads.get(token);
    if (parts === undefined) throw new ImportRefused("InvalidUploadToken", "there is no upload with this token");
    return parts;
  }

  #known(importId) {
    const row = this.#rows.get(importId);
    if (row === undefined) throw new ImportRefused("InvalidImport", `invalid import id ${importId}`);
    return row;
  }

  /** One import is worked on at a time. */
  #next(work) {
    this.#turn = this.#turn.then(work);
  }

  #examine(row) {
    if (row.state.state !== "uploaded") return;
    this.#orFail(row, () => {
      const archive = readArchive(row.archive);
      row.checkpoints = this.#checkpoints(row, archive);
      const isDestructive = row.checkpoints.some(({ existing_rows_to_delete: count }) => count > 0n);
      const lines = row.checkpoints.map(
        (table) =>
          `${table.display_table_name}: create ${table.total_num_rows_to_write}, ` +
          `delete ${table.existing_rows_to_delete} of ${table.existing_rows_in_table} documents`,
      );
      row.state = {
        state: "waiting_for_confirmation",
        message_to_confirm: ["Import change summary:", ...lines].join("\n"),
        require_manual_confirmation: isDestructive,
      };
    });
  }

  #checkpoints({ mode }, { numbers, tables }) {
    const counts = new Map(numbers.map(([name]) => [name, { count: 0, isMissingId: false }]));
    for (const table of tables) counts.set(table.name, table);
    if (mode === "replaceAll") {
      for (const name of this.#deployment.numbers.userTables()) {
        if (!counts.has(name)) counts.set(name, { count: 0, isMissingId: false });
      }
    }
    return [...counts].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, { count, isMissingId }]) => {
      const existing = this.#deployment.documents(name).length;
      if (mode === "requireEmpty" && existing > 0) throw notEmpty(name);
      return {
        display_table_name: name,
        component_path: null,
        num_rows_written: 0n,
        total_num_rows_to_write: BigInt(count),
        existing_rows_in_table: BigInt(existing),
        existing_rows_to_delete: BigInt(mode.startsWith("replace") ? existing : 0),
        is_missing_id_field: isMissingId,
      };
    });
  }

  async #perform(row) {
    if (row.state.state !== "in_progress") return;
    await this.#orFail(row, async () => {
      const archive = readArchive(row.archive);
      const written = await this.#deployment.importTables(row.mode, archive, () => row.state.state === "in_progress");
      if (row.state.state !== "in_progress") return;
      for (const table of row.checkpoints) table.num_rows_written = BigInt(written.get(table.display_table_name) ?? 0);
      complete(row);
    });
  }

  async #orFail(row, work) {
    try {
      await work();
    } catch (error) {
      if (row.state.state === "failed") return;
      row.state = { state: "failed", error_message: `Hit an error while importing:\n${error.message}` };
    }
  }
}

/** The refusal of a table that must be empty and is not. */
export function notEmpty(table) {
  return new Error(`Table ${table} already exists. Please choose a new table name or use replace/append modes.`);
}

function complete(row) {
  const rows = (row.checkpoints ?? []).reduce((sum, { num_rows_written: count }) => sum + count, 0n);
  row.state = { state: "completed", timestamp: BigInt(Date.now()) * 1_000_000n, num_rows_written: rows };
}

function shown(row) {
  if (row === undefined) return null;
  const { _id, _creationTime, state, checkpoints } = row;
  return { _id, _creationTime, state, checkpoints };
}
