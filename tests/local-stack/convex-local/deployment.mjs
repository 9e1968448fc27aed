// One deployment: the functions and schema of a project on a database of convex-test.
import { AsyncLocalStorage } from "node:async_hooks";
import { inspect } from "node:util";
import { makeFunctionReference } from "convex/server";
import { prepareDatabase, replaceDocuments } from "./database.mjs";
import { TableNumbers } from "./ids.mjs";
import { assignNumbers, checkEmpty, checkReferences, documentsOf } from "./import-tables.mjs";
import { Imports } from "./imports.mjs";
import { findFunction, functionSpecs, loadProject } from "./functions.mjs";

const LEVELS = { log: "LOG", info: "INFO", warn: "WARN", error: "ERROR", debug: "DEBUG" };
const logLines = new AsyncLocalStorage();

export class Deployment {
  numbers = new TableNumbers();
  imports = new Imports(this);
  #convexTest;
  #current = null;

  constructor(convexTest) {
    this.#convexTest = convexTest;
    prepareDatabase(convexTest, this.numbers);
    captureConsole();
  }

  /**
   * Takes the functions and the schema of `project`. Documents stay, and like a real deployment it is refused
   * when one of them does not match the new schema.
   */
  async deploy(project) {
    const { modules, schema, loaded } = await loadProject(project);
    const backend = this.#convexTest.convexTest({ schema, modules, transactionLimits: true });
    let database = null;
    await backend.run(async () => {
      database = this.#convexTest.getDb();
    });
    const previous = this.#current?.database;
    if (previous !== undefined) {
      this.#checkAll(previous, database);
      database._documents = previous._documents;
      database._storage = previous._storage;
      database._lastCreationTime = previous._lastCreationTime;
    }
    this.numbers.declare(Object.keys(schema?.tables ?? {}));
    this.#current = { backend, database, schema, loaded };
  }

  find(path) {
    return findFunction(this.#current, path);
  }

  /** What `npx convex function-spec` asks for. */
  functions() {
    return functionSpecs(this.#current);
  }

  /** Runs a function; gives its value or its error, and the lines it logged. */
  async run(kind, path, args) {
    const lines = [];
    try {
      const value = await logLines.run(lines, () =>
        this.#current.backend[kind](makeFunctionReference(path.canonical), args),
      );
      return { value, lines };
    } catch (error) {
      return { error, lines };
    }
  }

  /** Committed documents of `table`, oldest first. */
  documents(table) {
    const { _documents } = this.#current.database;
    return Object.values(_documents)
      .filter(({ _id }) => this.numbers.tableOf(_id) === table)
      .sort((a, b) => a._creationTime - b._creationTime);
  }

  /**
   * Takes the tables of an archive, each document checked against the schema with the numbers that tables will have.
   * They are switched in in one step, unless `isWanted` says no by then. Returns the count of documents by table.
   *
   * Appending to a table that is there is one step as well, which with Convex is one for each batch.
   */
  async importTables(mode, archive, isWanted) {
    const { backend, database } = this.#current;
    let counts = new Map();
    await backend.run(async () => {
      const existing = this.numbers.ofUsers();
      const countOf = (table) => this.documents(table).length;
      const assigned = assignNumbers(mode, existing, archive);
      if (mode === "requireEmpty") checkEmpty(assigned, countOf);
      checkReferences(database._schema, existing, assigned, countOf);
      const kept = this.#keptTables(mode, existing, assigned);
      const documents = Object.fromEntries(
        Object.entries(database._documents).filter(([id]) => kept.has(this.numbers.tableOf(id))),
      );
      const isGone = (name) => mode === "replaceAll" && !database._schema?.tables.has(name);
      const numbers = new Map([...existing].filter(([name]) => !isGone(name)));
      for (const [name, number] of assigned) numbers.set(name, number);
      this.numbers.replace(numbers);
      try {
        counts = this.#addTables(archive.tables, documents, database);
        if (!isWanted()) throw new Error("the import was canceled");
        replaceDocuments(database, documents);
      } catch (error) {
        this.numbers.replace(existing);
        throw error;
      }
    });
    return counts;
  }

  /** The tables whose documents an import leaves. */
  #keptTables(mode, existing, assigned) {
    if (mode === "append") return new Set([...existing.keys(), "_storage", "_scheduled_functions"]);
    const others = mode === "replaceAll" ? [] : [...existing.keys()].filter((name) => !assigned.has(name));
    return new Set([...others, "_storage", "_scheduled_functions"]);
  }

  #addTables(tables, documents, database) {
    const checks = {
      validate: (name, fields) => database._validate(name, fields),
      nextCreationTime: () => {
        database._lastCreationTime = Math.max(Date.now(), database._lastCreationTime + 0.001);
        return database._lastCreationTime;
      },
      taken: (id) => Object.hasOwn(documents, id),
    };
    return new Map(
      tables.map((table) => {
        const added = documentsOf(table, this.numbers.numberOf(table.name), checks);
        Object.assign(documents, added);
        return [table.name, Object.keys(added).length];
      }),
    );
  }

  /**
   * Puts a document in place of the one with this id, or beside all others where `id` is null; takes it away where
   * `fields` is null. Nothing is validated. Returns the id.
   */
  tamper(table, id, fields) {
    const { database } = this.#current;
    const { [id]: before, ...documents } = database._documents;
    if (id !== null && before === undefined) throw new Error(`there is no document ${id}`);
    const _id = id ?? this.numbers.mint(table);
    const _creationTime = before?._creationTime ?? (database._lastCreationTime += 0.001);
    if (fields !== null) documents[_id] = { ...fields, _id, _creationTime };
    replaceDocuments(database, documents);
    return _id;
  }

  schema() {
    return this.#current.schema?.export() ?? null;
  }

  #checkAll(previous, next) {
    for (const { _id, _creationTime, ...fields } of Object.values(previous._documents)) {
      const table = this.numbers.tableOf(_id);
      const validator = next._schema?.schemaValidation ? next._schema.tables.get(table)?.documentType : undefined;
      if (validator === undefined) continue;
      try {
        this.#convexTest.validateValidator(validator, fields);
      } catch (error) {
        throw new Error(
          `Schema validation failed. Document with ID "${_id}" in table "${table}" does not match the schema: ` +
            error.message,
        );
      }
    }
  }
}

/** Sends what functions print to their caller, and all other lines where they went before. */
function captureConsole() {
  const original = globalThis.console;
  const captured = Object.create(original);
  for (const [method, level] of Object.entries(LEVELS)) {
    captured[method] = (...values) => {
      const lines = logLines.getStore();
      if (lines === undefined) original[method](...values);
      else lines.push(`[${level}] ${values.map((value) => inspect(value)).join(" ")}`);
    };
  }
  globalThis.console = captured;
}
