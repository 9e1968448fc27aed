//! Payments and appointments, which belong to a contact by way of the contact's ARI conversation.

use super::{
    dataset::Migrated,
    parents::{AriConversationParent, Source},
    random::SplitMix64,
    samples::{self, created_and_updated, instant, prose},
    sql::{self, NULL, Rows, text, unless},
};

/// An ARI conversation as other rows refer to it.
#[derive(Debug, Clone)]
struct Conversation {
    /// Its workspace and its own id, as literals.
    key: [String; 2],
    /// Whether Convex knows neither it nor its contact.
    missing: bool,
}

/// All conversations, those that Convex knows first, and how many it knows.
fn conversations(source: &Source) -> (Vec<Conversation>, usize) {
    let resolve = |(row, contact): &(AriConversationParent, usize)| {
        let contact = &source.contacts[*contact];
        let workspace = text(&source.workspaces[contact.workspace].supabase_id);
        Conversation { key: [workspace, text(&row.supabase_id)], missing: contact.missing }
    };
    let (mut known, missing): (Vec<_>, Vec<_>) = source.ari_conversations.iter().map(resolve).partition(|c| !c.missing);
    let known_count = known.len();
    known.extend(missing);
    (known, known_count)
}

/// A payment that an appointment may refer to.
pub(super) struct PaymentRef {
    id: String,
    conversation: Conversation,
}

pub(super) fn payments(random: &mut SplitMix64, source: &Source) -> (Migrated, Vec<PaymentRef>) {
    let (conversations, known_count) = conversations(source);
    let missing = &conversations[known_count..];
    let mut refs = Vec::new();
    let mut table = Migrated::new(Rows::new(
        "ari_payments",
        &[
            "id",
            "workspace_id",
            "ari_conversation_id",
            "amount",
            "currency",
            "payment_method",
            "gateway",
            "gateway_transaction_id",
            "gateway_response",
            "status",
            "expires_at",
            "paid_at",
            "created_at",
            "updated_at",
        ],
    ));
    for row in 0..160 {
        let conversation =
            if row % 40 == 20 { &missing[row / 40 % missing.len()] } else { &conversations[row * 7 % known_count] };
        table.rejected += usize::from(conversation.missing);
        let id = random.uuid();
        refs.push(PaymentRef { id: id.clone(), conversation: conversation.clone() });
        let response = match row % 10 {
            1 | 2 => NULL.to_owned(),
            3 => sql::jsonb("null"),
            _ => sql::jsonb(samples::JSON_DOCUMENTS[(row + 3) % samples::JSON_DOCUMENTS.len()]),
        };
        let amount = if row == 9 { i32::MAX.to_string() } else { (random.below(90_000) * 1_000).to_string() };
        let [conversation_workspace, conversation_id] = conversation.key.clone();
        let [created, updated] = created_and_updated(random, row);
        table.rows.push([
            text(&id),
            conversation_workspace,
            conversation_id,
            amount,
            unless(row % 14 == 5, text(random.pick(&["IDR", "USD", "EUR"]))),
            unless(row % 5 == 4, text(random.pick(&["bank_transfer", "gopay", "credit_card"]))),
            unless(row % 15 == 6, text(random.pick(&["midtrans", "xendit"]))),
            unless(row % 3 == 0, text(&format!("TX-{:012}", random.below(1_000_000_000_000)))),
            response,
            unless(row % 16 == 7, text(random.pick(&["pending", "success", "failed", "expired", "refunded"]))),
            unless(row % 4 == 1, instant(random, row)),
            unless(row % 2 == 1, instant(random, row + 1)),
            created,
            updated,
        ]);
    }
    (table, refs)
}

pub(super) fn appointments(random: &mut SplitMix64, source: &Source, payments: &[PaymentRef]) -> Migrated {
    let (conversations, known_count) = conversations(source);
    let missing = &conversations[known_count..];
    let mut table = Migrated::new(Rows::new(
        "ari_appointments",
        &[
            "id",
            "workspace_id",
            "ari_conversation_id",
            "payment_id",
            "consultant_id",
            "scheduled_at",
            "duration_minutes",
            "meeting_link",
            "status",
            "reminder_sent_at",
            "notes",
            "created_at",
            "updated_at",
        ],
    ));
    for row in 0..140 {
        // Every other appointment is paid, and then belongs to the conversation of its payment.
        let (conversation, payment) = match payments.get(row) {
            Some(payment) if row % 2 == 0 => (&payment.conversation, text(&payment.id)),
            _ if row % 35 == 7 => (&missing[row / 35 % missing.len()], NULL.to_owned()),
            _ => (&conversations[row * 11 % known_count], NULL.to_owned()),
        };
        table.rejected += usize::from(conversation.missing);
        let [conversation_workspace, conversation_id] = conversation.key.clone();
        let [created, updated] = created_and_updated(random, row);
        table.rows.push([
            text(&random.uuid()),
            conversation_workspace,
            conversation_id,
            payment,
            unless(row % 3 == 1, text(random.pick(&source.user_refs()))),
            instant(random, row),
            unless(row % 12 == 5, (15 * (1 + random.below(6))).to_string()),
            unless(row % 4 == 2, text(&format!("https://meet.example.com/{row}?a=1&b=%20"))),
            unless(row % 18 == 8, text(random.pick(&["scheduled", "completed", "no_show"]))),
            unless(row % 2 == 1, instant(random, row)),
            unless(row % 4 == 3, text(&prose(random, row, 10))),
            created,
            updated,
        ]);
    }
    table
}
