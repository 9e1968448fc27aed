// The same script, tuned: pages by key, read ahead, batches of 1,000, and four of them on the way at once.
import { supabase, tables, write } from "./tables.mjs";

const PAGE = 1000;
const IN_FLIGHT = 4;

async function page(table, after) {
  let query = supabase.from(table.name).select(table.columns).order("id").limit(PAGE);
  if (after !== undefined) {
    query = query.gt("id", after);
  }
  const { data: rows, error } = await query;
  if (error) {
    throw new Error(`failed to read ${table.name}: ${error.message}`);
  }
  return rows;
}

for (const table of tables) {
  const onTheWay = new Set();
  let next = page(table);
  for (;;) {
    const rows = await next;
    if (rows.length === 0) {
      break;
    }
    next = page(table, rows.at(-1).id);
    if (onTheWay.size >= IN_FLIGHT) {
      await Promise.race(onTheWay);
    }
    // A client sends its mutations one by one unless it is told otherwise.
    const written = write(table, rows, { skipQueue: true }).finally(() => onTheWay.delete(written));
    onTheWay.add(written);
  }
  await Promise.all(onTheWay);
}
