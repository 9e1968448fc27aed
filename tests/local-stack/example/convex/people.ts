import { ConvexError, v } from "convex/values";
import { internal } from "./_generated/api";
import type { Id } from "./_generated/dataModel";
import { action, internalMutation, mutation, query } from "./_generated/server";

const person = v.object({
  email: v.string(),
  visits: v.optional(v.int64()),
  employer: v.optional(v.id("companies")),
});

export const upsertMany = internalMutation({
  args: { people: v.array(person) },
  returns: v.array(v.id("people")),
  handler: async (ctx, { people }) => {
    const ids: Id<"people">[] = [];
    for (const [index, next] of people.entries()) {
      const [present, other] = await ctx.db
        .query("people")
        .withIndex("by_email", (q) => q.eq("email", next.email))
        .take(2);
      if (other !== undefined) throw new ConvexError({ code: "ambiguous", index: BigInt(index) });
      if (present === undefined) {
        ids.push(await ctx.db.insert("people", next));
      } else {
        await ctx.db.replace(present._id, next);
        ids.push(present._id);
      }
    }
    console.log("upserted", ids.length);
    return ids;
  },
});

export const addCompany = mutation({
  args: { name: v.string() },
  handler: (ctx, { name }) => ctx.db.insert("companies", { name }),
});

export const get = query({
  args: { id: v.id("people") },
  handler: (ctx, { id }) => ctx.db.get(id),
});

// Takes what the arguments' validator would refuse, so that the document's own limits are met.
export const insertAnything = internalMutation({
  args: { table: v.string(), document: v.any() },
  handler: (ctx, { table, document }) => ctx.db.insert(table as "anything", document),
});

// Builds values that the size of a request's body would refuse, or that JSON cannot hold.
export const insertOfSize = internalMutation({
  args: { characters: v.number() },
  handler: (ctx, { characters }) => ctx.db.insert("anything", { text: "x".repeat(characters) }),
});

export const fail = internalMutation({
  args: {},
  handler: async (ctx) => {
    await ctx.db.insert("companies", { name: "rolled back" });
    throw new ConvexError({ code: "refused", row: 7n });
  },
});

export const addCompanyByAction = action({
  args: { name: v.string() },
  handler: async (ctx, { name }): Promise<number> => {
    await ctx.runMutation(internal.people.upsertMany, { people: [{ email: name }] });
    return name.length;
  },
});
