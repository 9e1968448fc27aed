// Puts the example's parents into Convex, as the application would have done before the migration.
import { v } from "convex/values";
import type { Id } from "./_generated/dataModel";
import { internalMutation } from "./_generated/server";

export const seedParents = internalMutation({
  args: {
    workspaces: v.array(v.object({ slug: v.string(), name: v.string(), ownerId: v.string() })),
    contacts: v.array(
      v.object({ workspaceSlug: v.string(), phone: v.string(), name: v.optional(v.string()) }),
    ),
    ariConversations: v.array(
      v.object({ workspaceSlug: v.string(), contactPhone: v.string(), state: v.string() }),
    ),
  },
  returns: v.null(),
  handler: async (ctx, args) => {
    const workspaces = new Map<string, Id<"workspaces">>();
    const contacts = new Map<string, Id<"contacts">>();
    const workspaceId = (slug: string) => {
      const id = workspaces.get(slug);
      if (id === undefined) throw new Error("unknown workspace");
      return id;
    };
    for (const { slug, name, ownerId } of args.workspaces) {
      workspaces.set(slug, await ctx.db.insert("workspaces", { slug, name, owner_id: ownerId }));
    }
    for (const { workspaceSlug, phone, name } of args.contacts) {
      const workspace_id = workspaceId(workspaceSlug);
      const id = await ctx.db.insert("contacts", { workspace_id, phone, name });
      contacts.set(JSON.stringify([workspaceSlug, phone]), id);
    }
    for (const { workspaceSlug, contactPhone, state } of args.ariConversations) {
      const contact_id = contacts.get(JSON.stringify([workspaceSlug, contactPhone]));
      if (contact_id === undefined) throw new Error("unknown contact");
      const workspace_id = workspaceId(workspaceSlug);
      await ctx.db.insert("ariConversations", { workspace_id, contact_id, state });
    }
    return null;
  },
});
