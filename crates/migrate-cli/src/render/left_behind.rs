//! What rows do not carry, and what becomes of it in Convex.

use migrate_core::catalog::{InventoryItem, InventoryKind};

/// Kinds that are told together, and what to do about them.
#[derive(Debug)]
pub(crate) struct Kind {
    kinds: &'static [InventoryKind],
    /// What they are, of any number.
    pub(crate) title: &'static str,
    /// What to do in Convex.
    pub(crate) advice: &'static str,
}

const KINDS: &[Kind] = &[
    Kind {
        kinds: &[InventoryKind::RowLevelSecurity, InventoryKind::Policy],
        title: "Row-level security",
        advice: "Convex has none: whoever may call a function may do all that it does. Check the caller (ctx.auth) in every \
                 query and mutation, before the app goes live.",
    },
    Kind {
        kinds: &[InventoryKind::Trigger],
        title: "Triggers",
        advice: "Write what they do into the mutations that change their tables.",
    },
    Kind {
        kinds: &[InventoryKind::Function],
        title: "Functions and procedures",
        advice: "Write them anew as queries, mutations and actions.",
    },
    Kind {
        kinds: &[InventoryKind::CronJob],
        title: "Cron jobs",
        advice: "Write them anew in convex/crons.ts; the times there are UTC as well.",
    },
    Kind {
        kinds: &[InventoryKind::View],
        title: "Views",
        advice: "Write them as queries; what a materialised view keeps becomes a table of its own, or is computed when asked.",
    },
    Kind {
        kinds: &[InventoryKind::AuthUsers],
        title: "Users",
        advice: "Choose who signs users in (Convex Auth, Clerk and others) and bring them over there. References to auth.users \
                 are kept as plain values.",
    },
    Kind {
        kinds: &[InventoryKind::StorageBucket],
        title: "Files",
        advice: "Copy them into Convex's file storage, and replace their paths by storage ids.",
    },
    Kind {
        kinds: &[InventoryKind::Realtime],
        title: "Realtime",
        advice: "Nothing to move: every query of Convex is live. Replace the subscriptions in the app.",
    },
    Kind {
        kinds: &[InventoryKind::Extension],
        title: "Extensions",
        advice: "Look for what the app uses of them; Convex has search and vector indexes of its own.",
    },
];

/// For kinds that a later version of the catalog has.
const OTHER: Kind =
    Kind { kinds: &[], title: "Other things", advice: "Look at each: nothing of them is moved with the rows." };

/// The items by what to do about them, the most pressing first.
pub(crate) fn grouped(items: &[InventoryItem]) -> Vec<(&'static Kind, Vec<&InventoryItem>)> {
    let is_known = |item: &InventoryItem| KINDS.iter().any(|kind| kind.kinds.contains(&item.kind));
    let of = |kind: &'static Kind| (kind, items.iter().filter(|item| kind.kinds.contains(&item.kind)).collect());
    let rest = (&OTHER, items.iter().filter(|item| !is_known(item)).collect());
    KINDS.iter().map(of).chain([rest]).filter(|(_, items): &(_, Vec<_>)| !items.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_is_told_once() {
        let item = |kind| InventoryItem { kind, name: "x".to_owned(), detail: None };
        let items: Vec<InventoryItem> = [
            InventoryKind::Extension,
            InventoryKind::Policy,
            InventoryKind::Trigger,
            InventoryKind::RowLevelSecurity,
            InventoryKind::Function,
            InventoryKind::CronJob,
            InventoryKind::Realtime,
            InventoryKind::StorageBucket,
            InventoryKind::AuthUsers,
            InventoryKind::View,
        ]
        .map(item)
        .into();
        let groups = grouped(&items);
        assert_eq!(groups.iter().map(|(_, items)| items.len()).sum::<usize>(), items.len());
        assert_eq!((groups[0].0.title, groups[0].1.len()), ("Row-level security", 2));
        assert!(groups.iter().all(|(kind, _)| kind.title != OTHER.title), "every kind has advice of its own");
        assert!(grouped(&[]).is_empty());
    }
}
