import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

export default defineSchema({
  people: defineTable({
    email: v.string(),
    visits: v.optional(v.int64()),
    employer: v.optional(v.id("companies")),
  }).index("by_email", ["email"]),
  companies: defineTable({ name: v.string() }),
  anything: defineTable(v.any()),
});
