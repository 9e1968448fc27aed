//! The three tables of `cms.sql`.

use super::{
    dataset::Migrated,
    parents::Source,
    random::SplitMix64,
    samples::{created_and_updated, instant, prose},
    sql::{Rows, text, unless},
};

const WEBINARS: usize = 44;

/// Every table with rows, in the order in which they may be inserted.
pub(super) fn generate(random: &mut SplitMix64, source: &Source) -> Vec<Migrated> {
    let (webinars, webinar_ids) = webinars(random, source);
    vec![articles(random, source), webinars, registrations(random, source, &webinar_ids)]
}

fn workspace(source: &Source, row: usize) -> String {
    text(&source.workspaces[row % source.workspaces.len()].supabase_id)
}

fn articles(random: &mut SplitMix64, source: &Source) -> Migrated {
    let mut table = Migrated::new(Rows::new(
        "articles",
        &[
            "id",
            "workspace_id",
            "title",
            "slug",
            "excerpt",
            "content",
            "cover_image_url",
            "status",
            "published_at",
            "created_at",
            "updated_at",
        ],
    ));
    for row in 0..60 {
        let [created, updated] = created_and_updated(random, row);
        table.rows.push([
            text(&random.uuid()),
            workspace(source, row),
            text(&prose(random, row, 5)),
            text(&format!("article-{}", row / 2)),
            unless(row % 4 == 1, text(&prose(random, row + 1, 12))),
            unless(row % 6 == 2, text(&format!("# {}\n\n{}", prose(random, row + 2, 3), prose(random, row, 60)))),
            unless(row % 3 == 2, text(&format!("https://cdn.example.com/covers/{row}.webp"))),
            unless(row % 11 == 4, text(random.pick(&["draft", "published"]))),
            unless(row % 2 == 1, instant(random, row)),
            created,
            updated,
        ]);
    }
    table
}

/// The webinars and their id literals.
fn webinars(random: &mut SplitMix64, source: &Source) -> (Migrated, Vec<String>) {
    let mut ids = Vec::new();
    let mut table = Migrated::new(Rows::new(
        "webinars",
        &[
            "id",
            "workspace_id",
            "title",
            "slug",
            "description",
            "cover_image_url",
            "scheduled_at",
            "duration_minutes",
            "meeting_url",
            "max_registrations",
            "status",
            "published_at",
            "created_at",
            "updated_at",
        ],
    ));
    for row in 0..WEBINARS {
        let id = text(&random.uuid());
        ids.push(id.clone());
        let [created, updated] = created_and_updated(random, row);
        table.rows.push([
            id,
            workspace(source, row),
            text(&prose(random, row, 4)),
            text(&format!("webinar-{}", row / 2)),
            unless(row % 4 == 1, text(&prose(random, row, 15))),
            unless(row % 3 == 2, text(&format!("https://cdn.example.com/webinars/{row}.png"))),
            instant(random, row),
            unless(row % 10 == 3, (30 * (1 + random.below(4))).to_string()),
            unless(row % 5 == 4, text(&format!("https://meet.example.com/webinar/{row}"))),
            unless(row % 2 == 1, (10 * random.below(50)).to_string()),
            unless(row % 11 == 5, text(random.pick(&["draft", "published", "completed"]))),
            unless(row % 3 == 1, instant(random, row)),
            created,
            updated,
        ]);
    }
    (table, ids)
}

fn registrations(random: &mut SplitMix64, source: &Source, webinars: &[String]) -> Migrated {
    let of_workspace = |workspace: usize, missing: bool| -> Vec<usize> {
        let contacts = source.contacts.iter().enumerate();
        contacts.filter(|(_, c)| c.workspace == workspace && c.missing == missing).map(|(index, _)| index).collect()
    };
    let workspace_count = source.workspaces.len();
    let known: Vec<_> = (0..workspace_count).map(|workspace| of_workspace(workspace, false)).collect();
    let missing: Vec<_> = (0..workspace_count).map(|workspace| of_workspace(workspace, true)).collect();
    let mut table = Migrated::new(Rows::new(
        "webinar_registrations",
        &["id", "webinar_id", "contact_id", "workspace_id", "registered_at", "attended"],
    ));
    for row in 0..200 {
        // A webinar's workspace is that of its position, and its guests are contacts of the same workspace. Row and
        // round together never give one webinar the same guest twice.
        let (webinar, round) = (row % WEBINARS, row / WEBINARS);
        let workspace_index = webinar % workspace_count;
        let guests = if row % 25 == 12 { &missing[workspace_index] } else { &known[workspace_index] };
        let guest = &source.contacts[guests[(webinar * 3 + round) % guests.len()]];
        table.rejected += usize::from(guest.missing);
        table.rows.push([
            text(&random.uuid()),
            webinars[webinar].clone(),
            text(&guest.row.supabase_id),
            workspace(source, webinar),
            unless(row % 9 == 2, instant(random, row)),
            unless(row % 7 == 5, row.is_multiple_of(3).to_string()),
        ]);
    }
    table
}
