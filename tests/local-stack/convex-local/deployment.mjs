// One deployment: the functions and schema of a project on a database of convex-test.
import { AsyncLocalStorage } from "node:async_hooks";
import { inspect } from "node:util";
import { makeFunctionReference } from "convex/server";
import { prepareDatabase } from "./database.mjs";
import { TableNumbers } from "./ids.mjs";
import { findFunction, functionSpecs, loadProject } from "./functions.mjs";

const LEVELS = { log: "LOG", info: "INFO", warn: "WARN", error: "ERROR", debug: "DEBUG" };
const logLines = new AsyncLocalStorage();

export class Deployment {
  numbers = new TableNumbers();
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
