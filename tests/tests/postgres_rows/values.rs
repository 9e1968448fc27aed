//! Every type and its edge values, over both ways: PostgREST's answer is what Postgres' own bytes must come to.

use std::sync::Arc;

use migrate_core::Source;
use migrate_core::names::FieldName;
use migrate_core::source::{KeyRange, PageRequest};
use supabase_source::{PostgresCatalog, SupabaseSettings, SupabaseSource};

use super::{project, public, settings, source, walk};

/// What the zoo lacks, and what only a binary form can get wrong.
const MORE: &str = "
    create table more (id int primary key, days date, at timestamptz, local timestamp, clock time, zoned timetz,
        amount numeric, ratio float8, small real, uuids uuid[], ats timestamptz[], days_of date[], amounts numeric[],
        flags boolean[], raws bytea[], padded character(5), padded_all character(5)[], label name, nothing text[]);
    insert into more select g,
        date '4714-11-24 BC' + (g * 104729) % 2000000,
        timestamptz '4713-01-01 00:00:00.000001+00 BC' + make_interval(days => (g * 7919) % 2300000, secs => g * 0.001003),
        timestamp '4713-01-01 00:00:00.1 BC' + make_interval(days => (g * 104729) % 2300000, secs => g * 1.25),
        time '00:00' + make_interval(secs => g * 7.000001),
        (time '00:00' + make_interval(secs => g))::text::timetz at time zone make_interval(mins => g % 800 - 400),
        (g * 1234567.891 - 100000000)::numeric * power(10::numeric, g % 60 - 30),
        (g - 500)::float8 / 7 * power(10::float8, g % 600 - 300),
        (g - 500)::real / 7,
        array[gen_random_uuid(), null],
        array[[now(), 'infinity'], ['-infinity', null]]::timestamptz[],
        array['0001-01-01 BC'::date, 'infinity', date '2000-01-01' + g],
        array[g / 3.0, 'NaN', '-Infinity', 0.000, 1e30],
        array[g % 2 = 0, null], array['\\x00ff'::bytea, ''],
        left('ab', g % 3), array['a', null, 'abcde'], 'n' || g,
        case g % 3 when 0 then '{}' when 1 then '[0:1]={a,b}'::text[] end
    from generate_series(1, 1000) g;
    insert into more (id, amount, ratio) values (-1, 1e-16383, 'NaN'), (-2, 1e131071, '-0'), (-3, 'Infinity', 5e-324),
        (-4, 0.00, 'Infinity'), (-5, -0.0001, 1.7976931348623157e308), (-6, 10000, 1e15), (-7, 9999.9999, 1e16);";

#[tokio::test]
async fn every_value_is_the_one_that_postgrest_gives() {
    let project = project(&format!("{};{MORE}", include_str!("../zoo/schema.sql"))).await;
    let catalog = PostgresCatalog::new(settings(&project)).unwrap().discover().await.unwrap();
    let rest = SupabaseSource::new(SupabaseSettings::new(project.url(), project.secret_key())).unwrap();
    let rest = rest.with_catalog(&catalog);
    let straight = source(&project).with_catalog(&catalog);
    let (mut differences, mut compared) = (Vec::new(), 0);
    for table in &catalog.tables {
        let columns: Arc<[FieldName]> = table.columns.iter().map(|column| column.name.clone()).collect();
        let request = PageRequest {
            table: table.name.clone(),
            columns: columns.clone(),
            key: table.row_key().fields().into(),
            range: KeyRange::all(),
            after: None,
            limit: 100,
        };
        let (one, other) = (walk(&rest, request.clone()).await.unwrap(), walk(&straight, request).await.unwrap());
        assert_eq!(one.len(), other.len(), "{}: rows", table.name);
        for (one, other) in one.iter().zip(&other) {
            for ((name, one), other) in columns.iter().zip(&one.values).zip(&other.values) {
                compared += 1;
                // By their texts, so that -0 is not 0 and NaN is itself.
                if format!("{one:?}") != format!("{other:?}") {
                    let shown = |value: &dyn std::fmt::Debug| format!("{value:?}").chars().take(80).collect::<String>();
                    differences.push(format!("{}.{name}: {} became {}", table.name, shown(one), shown(other)));
                }
            }
        }
    }
    assert!(compared > 20_000, "{compared} values are few");
    assert!(differences.is_empty(), "{} of {compared} differ:\n{}", differences.len(), differences.join("\n"));
}

/// The role's own settings change the texts of times, numbers and bytes for everyone else.
#[tokio::test]
async fn settings_of_the_role_change_no_value() {
    let project = project(
        "
        create table t (id int primary key, at timestamptz, span interval, raw bytea, small real, spans tstzrange);
        insert into t values (1, '2024-03-01 12:00+00', '1 year 2 days', '\\xdead', 0.3, '[2024-03-01 12:00+00,)');
        do $$ begin
            execute format('alter database %I set datestyle to ''SQL, DMY''', current_database());
            execute format('alter database %I set intervalstyle to ''iso_8601''', current_database());
            execute format('alter database %I set timezone to ''Asia/Kolkata''', current_database());
            execute format('alter database %I set bytea_output to ''escape''', current_database());
            execute format('alter database %I set extra_float_digits to -5', current_database());
            execute format('alter database %I set statement_timeout to ''5s''', current_database());
        end $$;",
    )
    .await;
    let columns = ["id", "at", "span", "raw", "small", "spans"];
    let rows = walk(&source(&project), super::request("t", &["id"], &columns, 10)).await.unwrap();
    let texts: Vec<String> = rows[0].values.iter().map(|value| value.exact_text().unwrap()).collect();
    let expected =
        ["1", "2024-03-01T12:00:00+00:00", "1 year 2 days", "\\xdead", "0.3", r#"["2024-03-01 12:00:00+00",)"#];
    assert_eq!(texts, expected);
    assert_eq!(source(&project).count(&public("t")).await.unwrap(), Some(1));
}
