// What an import does to tables (crates/application/src/snapshot_import/{mod,schema_constraints}.rs,
// crates/database/src/bootstrap_model/import_facing.rs): their numbers, and checks of every document.
import { randomBytes } from "node:crypto";
import { decodeId, encodeId, FIRST_USER_TABLE } from "./ids.mjs";
import { notEmpty } from "./imports.mjs";

const MAX_CREATION_TIME = 2 ** 53;

/**
 * Gives every table of an import its number: what `_tables` says, else the first row's id, else the number it has, else
 * the lowest free one. `existing` are the numbers of the tables that are there, by name.
 */
export function assignNumbers(mode, existing, { numbers, tables }) {
  const assigned = new Map();
  const wanted = [...numbers, ...tables.map(({ name, firstId }) => [name, numberOf(firstId)])];
  for (const [name, number] of wanted) {
    if (assigned.has(name)) continue;
    const current = existing.get(name);
    if (mode === "append" && number !== undefined && current !== undefined && number !== current) {
      throw new Error(`table ${name} wants table number ${number} but was already assigned ${current}`);
    }
    const chosen = number ?? current ?? lowestFree([...existing.values(), ...assigned.values()]);
    for (const [other, taken] of assigned) {
      if (taken === chosen) {
        throw new Error(`conflict between \`${other}\` and \`${name}\` with table number ${chosen}`);
      }
    }
    if (chosen < FIRST_USER_TABLE) {
      throw new Error(
        `New table \`${name}\` has IDs that conflict with existing internal table. Consider importing this table ` +
          "without `_id` fields or import into a new deployment.",
      );
    }
    assigned.set(name, chosen);
  }
  for (const [name, number] of assigned) {
    for (const [other, taken] of existing) {
      if (taken !== number || assigned.has(other) || mode === "replaceAll") continue;
      throw new Error(
        `New table \`${name}\` has IDs that conflict with existing table \`${other}\`. Consider deleting all ` +
          "existing tables, or import with --replace-all",
      );
    }
  }
  return assigned;
}

function numberOf(id) {
  return typeof id === "string" ? decodeId(id)?.number : undefined;
}

function lowestFree(taken) {
  let number = FIRST_USER_TABLE;
  while (taken.includes(number)) number += 1;
  return number;
}

/** Gives the documents of a table by their id, each checked by what the third argument has of the database. */
export function documentsOf({ name, rows }, number, { validate, nextCreationTime, taken }) {
  const documents = {};
  for (const { _id, _creationTime, ...fields } of rows()) {
    const id = _id === undefined ? encodeId(number, randomBytes(16)) : checkedId(name, number, _id);
    if (Object.hasOwn(documents, id)) throw new Error(`Objects in table "${name}" have duplicate _id fields`);
    if (taken(id)) throw new Error(`a document with this _id exists in table "${name}" already`);
    const creationTime = _creationTime === undefined ? nextCreationTime() : checkedTime(_creationTime);
    validate(name, fields);
    documents[id] = { ...fields, _id: id, _creationTime: creationTime };
  }
  return documents;
}

function checkedId(table, number, id) {
  const decoded = typeof id === "string" ? decodeId(id) : null;
  if (decoded === null) throw new Error(`invalid _id '${id}'`);
  if (decoded.number !== number) {
    throw new Error(`_id ${id} cannot be imported into '${table}' because its IDs have a different format`);
  }
  return id;
}

function checkedTime(time) {
  if (typeof time !== "number") {
    throw new Error(`Provided creation time doesn't match '_creationTime' field ${time}: it is a float`);
  }
  if (!(time > 0 && time < MAX_CREATION_TIME)) {
    throw new Error(`Creation time ${time} is not a positive number below 2^53`);
  }
  return time;
}

/** Refuses a change of the number of a table that a table outside of the import refers to, unless that one is empty. */
export function checkReferences(schema, existing, assigned, countOf) {
  for (const [table, { documentType }] of schema?.tables ?? []) {
    if (assigned.has(table) || countOf(table) === 0) continue;
    for (const target of referencesIn(documentType)) {
      const [before, after] = [existing.get(target), assigned.get(target)];
      if (before === undefined || after === undefined || before === after) continue;
      throw new Error(`Import changes table '${target}' which is referenced by '${table}' in the schema`);
    }
  }
}

function referencesIn(validator) {
  if (validator === null || typeof validator !== "object") return [];
  const own = validator.type === "id" ? [validator.tableName] : [];
  return [...own, ...Object.values(validator).flatMap(referencesIn)];
}

/** Refuses tables that must be empty and are not. */
export function checkEmpty(assigned, countOf) {
  for (const name of assigned.keys()) if (countOf(name) > 0) throw notEmpty(name);
}
