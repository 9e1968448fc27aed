//! The nine tables of `schema.sql` that are migrated.

use super::{
    bookings::{appointments, payments},
    dataset::Migrated,
    parents::Source,
    random::SplitMix64,
    samples::{self, created_and_updated, instant, prose},
    sql::{self, NULL, Rows, text, unless},
};

/// Every table with rows, in the order in which they may be inserted.
pub(super) fn generate(random: &mut SplitMix64, source: &Source) -> Vec<Migrated> {
    let (payments, payment_refs) = payments(random, source);
    let (categories, category_ids) = knowledge_categories(random, source);
    vec![
        destinations(random, source),
        payments,
        appointments(random, source, &payment_refs),
        ai_comparison(random, source),
        flow_stages(random, source),
        categories,
        knowledge_entries(random, source, &category_ids),
        scoring_config(random, source),
        consultant_slots(random, source, 56),
    ]
}

/// Every table, all of them empty but the slots.
pub(super) fn generate_seed(random: &mut SplitMix64, source: &Source) -> Vec<Migrated> {
    let empty = super::TABLES[..8].iter().map(|table| Migrated::new(Rows::new(table, &[])));
    let mut tables: Vec<_> = empty.collect();
    tables.push(seed_slots(random, source));
    tables
}

/// The workspace that row number `row` belongs to: they take turns.
fn workspace(source: &Source, row: usize) -> String {
    text(&source.workspaces[row % source.workspaces.len()].supabase_id)
}

fn destinations(random: &mut SplitMix64, source: &Source) -> Migrated {
    const COUNTRIES: [&str; 5] = ["Australia", "Deutschland", "日本", "Côte d'Ivoire", "United Kingdom"];
    const CITIES: [&str; 4] = ["Perth", "München", "大阪市", "St. John's"];
    const PROGRAMS: [&str; 6] = ["Business", "Data, Science", "\"Honours\" Law", "Médecine", "C:\\Design", "{Arts}"];
    let mut table = Migrated::new(Rows::new(
        "ari_destinations",
        &[
            "id",
            "workspace_id",
            "country",
            "city",
            "university_name",
            "requirements",
            "programs",
            "is_promoted",
            "priority",
            "notes",
            "created_at",
            "updated_at",
        ],
    ));
    for row in 0..120 {
        let requirements = match row % 12 {
            7 => NULL.to_owned(),
            8 => sql::jsonb("null"),
            _ if row == 50 => {
                table.inexact_json += 1;
                sql::jsonb(samples::INEXACT_JSON)
            }
            _ => sql::jsonb(samples::JSON_DOCUMENTS[row % samples::JSON_DOCUMENTS.len()]),
        };
        let priority = match row % 10 {
            2 => NULL.to_owned(),
            3 => "-5".to_owned(),
            4 if row == 4 => i32::MAX.to_string(),
            4 if row == 14 => i32::MIN.to_string(),
            _ => random.below(20).to_string(),
        };
        let [created, updated] = created_and_updated(random, row);
        table.rows.push([
            text(&random.uuid()),
            workspace(source, row),
            text(random.pick(&COUNTRIES)),
            unless(row % 6 == 5, text(random.pick(&CITIES))),
            text(&format!("University {row} of {}", prose(random, row + 1, 2))),
            requirements,
            unless(row % 9 == 2, sql::text_array(&PROGRAMS[..row % (PROGRAMS.len() + 1)])),
            unless(row % 11 == 3, row.is_multiple_of(4).to_string()),
            priority,
            unless(row % 4 == 3, text(&prose(random, row, 8))),
            created,
            updated,
        ]);
    }
    table
}

fn ai_comparison(random: &mut SplitMix64, source: &Source) -> Migrated {
    const SCORES: [&str; 6] = ["4.50", "0.00", "9.99", "0.10", "-1.25", "3.33"];
    let mut table = Migrated::new(Rows::new(
        "ari_ai_comparison",
        &[
            "id",
            "workspace_id",
            "ai_model",
            "conversation_count",
            "avg_response_time_ms",
            "total_tokens_used",
            "conversion_count",
            "satisfaction_score",
            "period_start",
            "period_end",
            "created_at",
            "updated_at",
        ],
    ));
    for row in 0..48 {
        let tokens = if row == 20 { i32::MAX.to_string() } else { random.below(5_000_000).to_string() };
        let [created, updated] = created_and_updated(random, row);
        table.rows.push([
            text(&random.uuid()),
            workspace(source, row),
            text(&format!("model-{}", row % 6)),
            unless(row % 9 == 1, random.below(500).to_string()),
            unless(row % 4 == 2, random.below(9_000).to_string()),
            unless(row % 9 == 3, tokens),
            unless(row % 9 == 5, random.below(100).to_string()),
            unless(row % 5 == 4, SCORES[row % SCORES.len()].to_owned()),
            unless(row % 8 == 6, instant(random, row)),
            unless(row % 8 == 7, instant(random, row + 1)),
            created,
            updated,
        ]);
    }
    table
}

fn flow_stages(random: &mut SplitMix64, source: &Source) -> Migrated {
    let mut table = Migrated::new(Rows::new(
        "ari_flow_stages",
        &[
            "id",
            "workspace_id",
            "name",
            "goal",
            "sample_script",
            "exit_criteria",
            "stage_order",
            "is_active",
            "created_at",
            "updated_at",
        ],
    ));
    for row in 0..48 {
        let order = if row == 46 { -1 } else { i32::try_from(row / 2).expect("a small number") };
        let [created, updated] = created_and_updated(random, row);
        table.rows.push([
            text(&random.uuid()),
            workspace(source, row),
            text(&format!("Stage {row}: {}", prose(random, row, 2))),
            text(&prose(random, row + 2, 7)),
            unless(row % 3 == 1, text(&prose(random, row + 3, 20))),
            unless(row % 4 == 2, text(&prose(random, row + 4, 6))),
            order.to_string(),
            unless(row % 10 == 9, (row % 3 != 0).to_string()),
            created,
            updated,
        ]);
    }
    table
}

/// The categories, and the id literals of each workspace's.
fn knowledge_categories(random: &mut SplitMix64, source: &Source) -> (Migrated, Vec<Vec<String>>) {
    let mut ids = vec![Vec::new(); source.workspaces.len()];
    let mut table = Migrated::new(Rows::new(
        "ari_knowledge_categories",
        &["id", "workspace_id", "name", "description", "display_order", "created_at", "updated_at"],
    ));
    for row in 0..40 {
        let id = text(&random.uuid());
        ids[row % source.workspaces.len()].push(id.clone());
        let [created, updated] = created_and_updated(random, row);
        table.rows.push([
            id,
            workspace(source, row),
            text(&format!("Category {} {}", row / 2, prose(random, row, 1))),
            unless(row % 4 == 1, text(&prose(random, row, 9))),
            (row / 2).to_string(),
            created,
            updated,
        ]);
    }
    (table, ids)
}

fn knowledge_entries(random: &mut SplitMix64, source: &Source, categories: &[Vec<String>]) -> Migrated {
    let mut table = Migrated::new(Rows::new(
        "ari_knowledge_entries",
        &["id", "workspace_id", "category_id", "title", "content", "is_active", "created_at", "updated_at"],
    ));
    for row in 0..2_500 {
        let own = &categories[row % categories.len()];
        // One entry is long enough to stand out in a batch that is cut by size.
        let content = if row == 1_234 { "a long entry, ".repeat(4_000) } else { prose(random, row, 12) };
        let [created, updated] = created_and_updated(random, row);
        table.rows.push([
            text(&random.uuid()),
            workspace(source, row),
            unless(row % 7 == 3, own[row / 2 % own.len()].clone()),
            text(&format!("Entry {row} {}", prose(random, row + 3, 4))),
            text(&content),
            unless(row % 19 == 11, (row % 6 != 0).to_string()),
            created,
            updated,
        ]);
    }
    table
}

/// One row for each workspace: its id is unique.
fn scoring_config(random: &mut SplitMix64, source: &Source) -> Migrated {
    const WEIGHTS: [[u32; 6]; 2] = [[70, 40, 25, 35, 30, 10], [100, 0, 0, 50, 50, 0]];
    let mut table = Migrated::new(Rows::new(
        "ari_scoring_config",
        &[
            "id",
            "workspace_id",
            "hot_threshold",
            "warm_threshold",
            "weight_basic",
            "weight_qualification",
            "weight_document",
            "weight_engagement",
            "created_at",
            "updated_at",
        ],
    ));
    for (row, numbers) in WEIGHTS.iter().enumerate() {
        let [hot, warm, basic, qualification, document, engagement] = numbers.map(|number| number.to_string());
        let (created, updated) = (unless(row == 0, instant(random, 0)), unless(row == 1, instant(random, 1)));
        let id = text(&random.uuid());
        let workspace = workspace(source, row);
        table.rows.push([id, workspace, hot, warm, basic, qualification, document, engagement, created, updated]);
    }
    table
}

const SLOT_COLUMNS: &[&str] = &[
    "id",
    "workspace_id",
    "consultant_id",
    "day_of_week",
    "start_time",
    "end_time",
    "duration_minutes",
    "booking_window_days",
    "max_bookings_per_slot",
    "is_active",
    "created_at",
    "updated_at",
];

fn consultant_slots(random: &mut SplitMix64, source: &Source, count: usize) -> Migrated {
    let mut table = Migrated::new(Rows::new("consultant_slots", SLOT_COLUMNS));
    for row in 0..count {
        let (start, end) = match row {
            // Midnight at the day's end is a time of its own in Postgres.
            3 => ("22:30:00", "24:00:00"),
            4 => ("09:15:30.25", "10:45:15.123456"),
            5 => ("00:00:00", "23:59:59"),
            _ => *random.pick(&[&("09:00:00", "12:00:00"), &("13:30:15", "17:45:45"), &("08:00:00", "08:20:00")]),
        };
        let [created, updated] = created_and_updated(random, row);
        table.rows.push([
            text(&random.uuid()),
            workspace(source, row),
            unless(row % 4 == 3, text(&source.users[row / 14 % source.users.len()])),
            (row / 2 % 7).to_string(),
            text(start),
            text(end),
            unless(row % 9 == 2, random.pick(&["30", "45", "60"]).to_owned()),
            unless(row % 9 == 4, random.pick(&["7", "14", "365"]).to_owned()),
            unless(row % 9 == 6, if row == 7 { i32::MAX.to_string() } else { (1 + random.below(5)).to_string() }),
            unless(row % 9 == 8, (row % 5 != 0).to_string()),
            created,
            updated,
        ]);
    }
    table
}

/// The two slots that the near-empty scenario has: both without a consultant.
fn seed_slots(random: &mut SplitMix64, source: &Source) -> Migrated {
    let mut table = Migrated::new(Rows::new("consultant_slots", SLOT_COLUMNS));
    for (day, start, end) in [(1, "09:00:00", "12:00:00"), (4, "13:00:00", "17:00:00")] {
        let (created, updated) = (instant(random, 0), instant(random, 3));
        let ([duration, window, bookings], active) = (["60", "14", "1"].map(str::to_owned), true.to_string());
        table.rows.push([
            text(&random.uuid()),
            workspace(source, 0),
            NULL.to_owned(),
            day.to_string(),
            text(start),
            text(end),
            duration,
            window,
            bookings,
            active,
            created,
            updated,
        ]);
    }
    table
}
