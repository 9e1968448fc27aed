//! The parent rows: those of the source, and those of them that Convex holds already.

use super::{
    random::SplitMix64,
    samples::{self, instant},
    sql::{self, Rows, text},
};

/// The rows that must be in Convex before the migration starts, described by their natural keys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parents {
    /// Found by slug.
    pub workspaces: Vec<WorkspaceParent>,
    /// Found by workspace and phone.
    pub contacts: Vec<ContactParent>,
    /// Ordinary conversations; none of the migrated tables refers to them.
    pub conversations: Vec<ConversationParent>,
    /// Found by workspace and contact.
    pub ari_conversations: Vec<AriConversationParent>,
}

/// A workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkspaceParent {
    /// The id in Supabase.
    pub supabase_id: String,
    /// Unique among all workspaces.
    pub slug: String,
    /// The name on screen.
    pub name: String,
    /// The id of the owner in `auth.users`.
    pub owner_id: String,
}

/// A contact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContactParent {
    /// The id in Supabase.
    pub supabase_id: String,
    /// The workspace that it belongs to.
    pub workspace_slug: String,
    /// Unique within its workspace only.
    pub phone: String,
    /// The name on screen, where it is known.
    pub name: Option<String>,
}

/// A conversation with a contact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConversationParent {
    /// The id in Supabase.
    pub supabase_id: String,
    /// The workspace that it belongs to.
    pub workspace_slug: String,
    /// The contact, within the workspace.
    pub contact_phone: String,
}

/// What the assistant knows of a contact: at most one for each workspace and contact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AriConversationParent {
    /// The id in Supabase.
    pub supabase_id: String,
    /// The workspace that it belongs to.
    pub workspace_slug: String,
    /// The contact, within the workspace.
    pub contact_phone: String,
    /// Where the assistant's dialogue stands.
    pub state: String,
}

/// How many parent rows to make.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    /// The number of contacts of each workspace. The contacts of every workspace but the first take their phone numbers
    /// from the first, as far as `shared_phones` reaches.
    pub(super) contacts: &'static [usize],
    pub(super) shared_phones: usize,
    /// Contacts that Convex does not know, as (workspace, position within it).
    pub(super) missing: &'static [(usize, usize)],
}

/// The parent rows of the source, as far as other rows need to know them.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) users: Vec<String>,
    pub(super) workspaces: Vec<WorkspaceParent>,
    pub(super) contacts: Vec<Contact>,
    /// Every ARI conversation with the position of its contact.
    pub(super) ari_conversations: Vec<(AriConversationParent, usize)>,
    conversations: Vec<(ConversationParent, usize)>,
}

/// A contact and its place.
#[derive(Debug)]
pub(super) struct Contact {
    pub(super) row: ContactParent,
    /// The position of its workspace.
    pub(super) workspace: usize,
    /// Whether Convex does not know it.
    pub(super) missing: bool,
}

const WORKSPACES: [(&str, &str); 2] =
    [("blue-harbour", "Blue Harbour Study"), ("north-star", "North Star \"Visa\" & Co")];
const STATES: [&str; 4] = ["greeting", "qualifying", "scoring", "handed_off"];

impl Source {
    pub(super) fn generate(random: &mut SplitMix64, sizes: Sizes) -> Self {
        let users: Vec<_> = (0..6).map(|_| random.uuid()).collect();
        let mut source = Self {
            workspaces: Vec::new(),
            contacts: Vec::new(),
            ari_conversations: Vec::new(),
            conversations: Vec::new(),
            users,
        };
        for (workspace, &contact_count) in sizes.contacts.iter().enumerate() {
            let (slug, name) = WORKSPACES[workspace];
            source.workspaces.push(WorkspaceParent {
                supabase_id: random.uuid(),
                slug: slug.to_owned(),
                name: name.to_owned(),
                owner_id: source.users[workspace].clone(),
            });
            for position in 0..contact_count {
                let number = if position < sizes.shared_phones { position } else { workspace * 5_000 + position };
                let row = ContactParent {
                    supabase_id: random.uuid(),
                    workspace_slug: slug.to_owned(),
                    phone: format!("+62812{:07}", 3_100_000 + number * 37),
                    name: (position % 9 != 8).then(|| samples::prose(random, position, 2)),
                };
                let missing = sizes.missing.contains(&(workspace, position));
                source.add_conversations(random, &row, position);
                source.contacts.push(Contact { row, workspace, missing });
            }
        }
        source
    }

    fn add_conversations(&mut self, random: &mut SplitMix64, contact: &ContactParent, position: usize) {
        let index = self.contacts.len();
        let ContactParent { workspace_slug, phone, .. } = contact;
        if position % 3 != 2 {
            let row = ConversationParent {
                supabase_id: random.uuid(),
                workspace_slug: workspace_slug.clone(),
                contact_phone: phone.clone(),
            };
            self.conversations.push((row, index));
        }
        if position % 19 != 7 {
            let row = AriConversationParent {
                supabase_id: random.uuid(),
                workspace_slug: workspace_slug.clone(),
                contact_phone: phone.clone(),
                state: random.pick(&STATES).to_owned(),
            };
            self.ari_conversations.push((row, index));
        }
    }

    pub(super) fn known_to_convex(&self) -> Parents {
        let known = |contact: usize| !self.contacts[contact].missing;
        Parents {
            workspaces: self.workspaces.clone(),
            contacts: self.contacts.iter().filter(|c| !c.missing).map(|c| c.row.clone()).collect(),
            conversations: self.conversations.iter().filter(|(_, c)| known(*c)).map(|(row, _)| row.clone()).collect(),
            ari_conversations: (self.ari_conversations.iter())
                .filter(|(_, c)| known(*c))
                .map(|(row, _)| row.clone())
                .collect(),
        }
    }

    pub(super) fn rows(&self, random: &mut SplitMix64) -> Vec<Rows> {
        let mut users = Rows::new("auth.users", &["id", "email"]);
        let mut profiles = Rows::new("profiles", &["id", "email", "full_name", "is_admin", "created_at", "updated_at"]);
        for (position, id) in self.users.iter().enumerate() {
            let email = text(&format!("user{position}@example.com"));
            users.push([text(id), email.clone()]);
            let (created, updated) = (instant(random, position), instant(random, position));
            let admin = (position == 0).to_string();
            profiles.push([text(id), email, text(&format!("User {position}")), admin, created, updated]);
        }
        let mut workspaces =
            Rows::new("workspaces", &["id", "name", "slug", "owner_id", "settings", "created_at", "updated_at"]);
        for (position, row) in self.workspaces.iter().enumerate() {
            let (created, updated) = (instant(random, position), instant(random, position));
            let settings = sql::jsonb(r#"{"locale": "id"}"#);
            let owner = text(&row.owner_id);
            workspaces.push([
                text(&row.supabase_id),
                text(&row.name),
                text(&row.slug),
                owner,
                settings,
                created,
                updated,
            ]);
        }
        vec![
            users,
            profiles,
            workspaces,
            self.contact_rows(random),
            self.conversation_rows(random),
            self.ari_rows(random),
        ]
    }

    /// A contact's workspace and its own id, as literals.
    fn contact_key(&self, contact: usize) -> [String; 2] {
        let Contact { row, workspace, .. } = &self.contacts[contact];
        [text(&self.workspaces[*workspace].supabase_id), text(&row.supabase_id)]
    }

    fn contact_rows(&self, random: &mut SplitMix64) -> Rows {
        const COLUMNS: &[&str] = &[
            "id",
            "workspace_id",
            "phone",
            "name",
            "lead_score",
            "tags",
            "assigned_to",
            "metadata",
            "created_at",
            "updated_at",
        ];
        let mut rows = Rows::new("contacts", COLUMNS);
        for (index, Contact { row, .. }) in self.contacts.iter().enumerate() {
            let [workspace, id] = self.contact_key(index);
            let name = row.name.as_deref().map_or_else(|| sql::NULL.to_owned(), text);
            let tags = sql::unless(index % 8 == 3, sql::text_array(&["lead", "2025"][..index % 3]));
            let assigned = sql::unless(index % 2 == 0, text(random.pick(&self.user_refs())));
            let metadata = sql::jsonb(samples::JSON_DOCUMENTS[index % samples::JSON_DOCUMENTS.len()]);
            let (created, updated) = (instant(random, index), instant(random, index + 1));
            let score = random.below(101).to_string();
            rows.push([id, workspace, text(&row.phone), name, score, tags, assigned, metadata, created, updated]);
        }
        rows
    }

    fn conversation_rows(&self, random: &mut SplitMix64) -> Rows {
        const COLUMNS: &[&str] =
            &["id", "workspace_id", "contact_id", "unread_count", "last_message_at", "created_at", "updated_at"];
        let mut rows = Rows::new("conversations", COLUMNS);
        for (index, (row, contact)) in self.conversations.iter().enumerate() {
            let [workspace, contact] = self.contact_key(*contact);
            let unread = random.below(9).to_string();
            let last = sql::unless(index % 6 == 1, instant(random, index));
            let (created, updated) = (instant(random, index), instant(random, index));
            rows.push([text(&row.supabase_id), workspace, contact, unread, last, created, updated]);
        }
        rows
    }

    fn ari_rows(&self, random: &mut SplitMix64) -> Rows {
        const COLUMNS: &[&str] =
            &["id", "workspace_id", "contact_id", "conversation_id", "state", "context", "created_at", "updated_at"];
        let mut rows = Rows::new("ari_conversations", COLUMNS);
        for (index, (row, contact)) in self.ari_conversations.iter().enumerate() {
            let conversation = self.conversations.iter().find(|(_, of)| of == contact);
            let conversation = conversation.map_or_else(|| sql::NULL.to_owned(), |(row, _)| text(&row.supabase_id));
            let [workspace, contact] = self.contact_key(*contact);
            let context = sql::jsonb(samples::JSON_DOCUMENTS[index % samples::JSON_DOCUMENTS.len()]);
            let (created, updated) = (instant(random, index), instant(random, index));
            let state = text(&row.state);
            rows.push([text(&row.supabase_id), workspace, contact, conversation, state, context, created, updated]);
        }
        rows
    }

    /// The users' ids as a list to pick from.
    pub(super) fn user_refs(&self) -> Vec<&str> {
        self.users.iter().map(String::as_str).collect()
    }
}
