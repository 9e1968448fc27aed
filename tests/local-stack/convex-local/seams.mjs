// Opens convex-test where it keeps to itself what this stand-in has to replace. The installed package stays as
// it is: a copy with the seams below is written next to the compiled functions. Every seam must be found exactly
// once, so that another version of convex-test fails here and not in a test's result.
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const SEAMS = [
  {
    why: "ids have the real format, so the table of an id is looked up and not cut from its text",
    find: "function tableNameFromId(id) {",
    replace:
      "let tableNameOfId = null;\n" +
      "export function useTableNameOfId(lookup) { tableNameOfId = lookup; }\n" +
      "function tableNameFromId(id) {\n    return tableNameOfId(id);\n}\n" +
      "function tableNameFromCounterId(id) {",
  },
  {
    why: "documents get limits, ids and an index",
    find: "class DatabaseFake {",
    replace: "export class DatabaseFake {",
  },
  {
    why: "system queries read the database",
    find: "function getDb() {",
    replace: "export function getDb() {",
  },
  {
    why: "a redeployment validates stored documents, and v.record is validated too",
    find: "function validateValidator(validator, value) {\n    switch (validator.type) {",
    replace:
      "export function validateValidator(validator, value) {\n    switch (validator.type) {\n" +
      '        case "record": {\n' +
      '            if (value === null || typeof value !== "object" || !isSimpleObject(value)) {\n' +
      "                throw new Error(`Validator error: Expected \\`record\\`, got \\`${value}\\``);\n" +
      "            }\n" +
      "            for (const [k, v] of Object.entries(value)) {\n" +
      "                validateValidator(validator.keys, k);\n" +
      "                validateValidator(validator.values.fieldType, v);\n" +
      "            }\n" +
      "            return;\n" +
      "        }",
  },
  {
    why: "refused arguments carry the real backend's name for them",
    find: "    validateValidator(argsValidator, resolvePendingValues(args));",
    replace:
      "    try {\n        validateValidator(argsValidator, resolvePendingValues(args));\n    }\n" +
      "    catch (e) {\n        throw new Error(`ArgumentValidationError: ${e.message}`);\n    }",
  },
];

/** Writes the opened copy below `folder` and imports it. */
export async function openConvexTest(packages, folder) {
  const source = join(packages, "convex-test", "dist");
  let code = readFileSync(join(source, "index.js"), "utf8");
  for (const { why, find, replace } of SEAMS) {
    if (code.split(find).length !== 2) {
      throw new Error(
        `convex-test has changed: the seam for "${why}" is not found exactly once. ` +
          "Install the version that package.json pins, or adapt SEAMS in seams.mjs.",
      );
    }
    code = code.replace(find, () => replace);
  }
  const target = join(folder, "convex-test");
  mkdirSync(target, { recursive: true });
  writeFileSync(join(target, "index.js"), code);
  copyFileSync(join(source, "transactionMetrics.js"), join(target, "transactionMetrics.js"));
  return import(pathToFileURL(join(target, "index.js")).href);
}
