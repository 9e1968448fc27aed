// What both scripts share: the two clients, and each table's rows as documents.
import { createClient } from "@supabase/supabase-js";
import { ConvexHttpClient } from "convex/browser";
import { makeFunctionReference } from "convex/server";
import ws from "ws";

export const supabase = createClient(process.env.SUPABASE_URL, process.env.SUPABASE_SERVICE_ROLE_KEY, {
  auth: { persistSession: false, autoRefreshToken: false },
  // Node 20 has no WebSocket of its own, which the client asks for when it is made.
  realtime: { transport: ws },
});

export const convex = new ConvexHttpClient(process.env.CONVEX_URL);
convex.setAdminAuth(process.env.CONVEX_ADMIN_KEY);

// Ids of the documents that other rows refer to, by the rows' keys.
const customers = new Map();
const products = new Map();

const bulkInsert = (table) => makeFunctionReference(`migration/migrate:bulkInsert${table}`);

// Parents before children.
export const tables = [
  {
    name: "customers",
    columns: "id, name, created_at",
    bulkInsert: bulkInsert("Customers"),
    ids: customers,
    document: (row) => ({
      supabaseId: row.id,
      name: row.name,
      created_at: Date.parse(row.created_at),
    }),
  },
  {
    name: "products",
    columns: "id, name, price",
    bulkInsert: bulkInsert("Products"),
    ids: products,
    document: (row) => ({ supabaseId: row.id, name: row.name, price: row.price }),
  },
  {
    name: "orders",
    // A bigint comes as text: a JavaScript number does not hold it.
    columns:
      "id, customer_id, product_id, status, note, total, quantity::text, is_paid, tags, details, created_at, updated_at",
    bulkInsert: bulkInsert("Orders"),
    document: (row) => ({
      supabaseId: row.id,
      customer_id: customers.get(row.customer_id),
      product_id: products.get(row.product_id),
      status: row.status,
      note: row.note,
      total: row.total,
      quantity: BigInt(row.quantity),
      is_paid: row.is_paid,
      tags: row.tags,
      details: row.details,
      created_at: Date.parse(row.created_at),
      updated_at: Date.parse(row.updated_at),
    }),
  },
];

// Writes one batch, and keeps the ids that other rows will need.
export async function write(table, rows, options) {
  const records = rows.map(table.document);
  const written = await convex.mutation(table.bulkInsert, { records }, options);
  if (table.ids) {
    written.forEach(({ id }, index) => table.ids.set(records[index].supabaseId, id));
  }
}
