// The script that most people write first: pages by offset, small batches, one thing after the other.
import { supabase, tables, write } from "./tables.mjs";

const PAGE = 1000;
const BATCH = 100;

// Offsets make each page slower than the one before, so a large table can be left early.
const most = Number(process.env.MOST_ROWS ?? Infinity);

for (const table of tables) {
  for (let from = 0; from < most; from += PAGE) {
    const to = Math.min(from + PAGE, most) - 1;
    const { data: rows, error } = await supabase
      .from(table.name)
      .select(table.columns)
      .order("id")
      .range(from, to);
    if (error) {
      throw new Error(`failed to read ${table.name} from row ${from}: ${error.message}`);
    }
    for (let at = 0; at < rows.length; at += BATCH) {
      await write(table, rows.slice(at, at + BATCH));
    }
    if (rows.length < PAGE) {
      break;
    }
  }
}
