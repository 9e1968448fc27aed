// The system functions that read data without any code deployed (npm-packages/system-udfs/convex/_system).
const MAX_PAGE_ROWS = 10_000;
const MAX_PAGE_CHARACTERS = 5 << 20;

/** Runs the system query at `module`; undefined when there is none by that name. */
export function systemQuery(deployment, { module, name }, args) {
  switch (module) {
    case "_system/frontend/getTableMapping":
      return deployment.numbers.mapping();
    case "_system/frontend/getSchemas": {
      const schema = deployment.schema();
      return schema === null ? {} : { active: schema };
    }
    case "_system/cli/modules":
      return name === "apiSpec" ? deployment.functions() : undefined;
    case "_system/cli/queryImport":
      return name === "list" ? deployment.imports.list() : deployment.imports.query(args.importId);
    case "_system/cli/tables": {
      const names = deployment.numbers.userTables();
      return page(names.map((name) => ({ name })), args.paginationOpts);
    }
    case "_system/cli/tableSize":
      return deployment.documents(args.tableName).length;
    case "_system/cli/tableData": {
      const documents = deployment.documents(args.table);
      return page(args.order === "desc" ? documents.reverse() : documents, args.paginationOpts);
    }
    default:
      return undefined;
  }
}

// A cursor is the number of rows before the page. Tests read when nothing is being written.
function page(rows, { cursor = null, numItems = MAX_PAGE_ROWS } = {}) {
  const start = cursor === null ? 0 : Number(cursor);
  const limit = Math.min(numItems, MAX_PAGE_ROWS);
  let characters = 0;
  let end = start;
  while (end < rows.length && end - start < limit && characters < MAX_PAGE_CHARACTERS) {
    characters += roughSize(rows[end]);
    end += 1;
  }
  return { page: rows.slice(start, end), isDone: end >= rows.length, continueCursor: String(end) };
}

function roughSize(value) {
  if (typeof value === "string") return value.length;
  if (value instanceof ArrayBuffer) return value.byteLength;
  if (value === null || typeof value !== "object") return 8;
  return Object.values(value).reduce((total, item) => total + roughSize(item), 8);
}
