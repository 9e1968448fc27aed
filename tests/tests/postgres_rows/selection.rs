//! Which rows are read: row filters, and what a role may see.

use migrate_core::{ErrorKind, Source};
use supabase_source::{PostgresSettings, PostgresSource};

use super::{numbers, project, public, request, settings, source, walk};

/// A filter and what the data API makes of it must be the same rows.
#[tokio::test]
async fn row_filters_are_those_of_the_data_api() {
    let project = project("
        create table items (id int primary key, label text, \"order\" int, tags text[], data jsonb, span int4range, n int,
            words tsvector generated always as (to_tsvector('english', coalesce(label, ''))) stored);
        insert into items (id, label, \"order\", tags, data, span, n) select g,
            nullif((array['a+&%', 'the cats', null, 'B*', 'it''s', 'a,b)'])[1 + g % 6], ''), g % 7,
            array['t' || g % 3, 'x\"y'], jsonb_build_object('k', 'v' || g % 4, 'deep', jsonb_build_array(g % 2, g)),
            int4range(g, g + 10), g from generate_series(1, 300) g;").await;
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    for filter in [
        "id=lt.250&id=gte.20",
        "label=eq.a%2B%26%25",
        "label=not.is.null&order=neq.3",
        "or=(label.is.null,id.gt.290)&not.and=(id.eq.7,label.is.null)",
        "or=(label.eq.\"a,b)\",and(\"order\".in.(1,3),not.or(id.lt.100,id.gt.200)),label.like.B*)",
        "\"order\"=in.(1,3)",
        "label=in.(\"a,b)\",it's)",
        "label=ilike.b**",
        "label=like(any).{a*,B*}",
        "label=match.^[ab]",
        "id=eq(any).{1,2,3}",
        "label=isdistinct.the cats",
        "tags=cs.{t1}",
        "tags=ov.{t1,t2}",
        "span=cd.[10,40)",
        "span=adj.[20,30)",
        "data->>k=eq.v1",
        "data->deep->>0=eq.1",
        "data->deep->1=gt.250",
        "data=cs.{\"k\":\"v2\"}",
        "words=fts.cat",
        "words=plfts(english).cats",
        "id=lt.0",
    ] {
        let filter = filter.replace("&order=", "&\"order\"=");
        let url = format!("{}/rest/v1/items?select=n&order=n.asc&limit=1000&{filter}", project.url());
        let answer = http.get(url).header("apikey", project.secret_key()).send().await.unwrap();
        assert!(answer.status().is_success(), "{filter}: {}", answer.text().await.unwrap());
        let answer: serde_json::Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
        let expected: Vec<i64> = answer.as_array().unwrap().iter().map(|row| row["n"].as_i64().unwrap()).collect();
        assert!(!expected.is_empty() || filter == "id=lt.0", "{filter} finds nothing");
        let filters = [(public("items"), filter.clone())].into();
        let source = PostgresSource::new(PostgresSettings { filters, ..settings(&project) }).unwrap();
        let rows = walk(&source, request("items", &["id"], &["id", "n"], 70)).await.unwrap();
        assert_eq!(numbers(&rows), expected, "{filter}");
        let counted = source.count(&public("items")).await.unwrap();
        assert_eq!(counted, u64::try_from(expected.len()).ok(), "{filter}");
        let found = source.fetch(&public("items"), &["1".into(), "299".into()], &["n".into()]).await.unwrap();
        assert!(found.iter().all(Option::is_some), "{filter}");
    }
    for filter in ["gone=eq.1", "id=eq.x", "label=sl.1"] {
        let filters = [(public("items"), filter.to_owned())].into();
        let source = PostgresSource::new(PostgresSettings { filters, ..settings(&project) }).unwrap();
        let error = walk(&source, request("items", &["id"], &["id", "n"], 10)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{filter}: {error}");
        assert!(error.to_string().contains("filter: tables.items.filter"), "{error}");
    }
}

#[tokio::test]
async fn a_role_that_does_not_see_every_row_is_refused() {
    let project = project(
        "
        create table open (id int primary key, n int); insert into open values (1, 1);
        create table secret (id int primary key, n int); insert into secret values (1, 1), (2, 2);
        alter table secret enable row level security;
        create policy part on secret for select using (n = 1);
        create table closed (id int primary key, n int);
        do $$ begin if not exists (select from pg_roles where rolname = 'half_blind') then
            create role half_blind login; end if; end $$;
        grant usage on schema public to half_blind;
        grant select on open, secret to half_blind;
        revoke all on closed from public;",
    )
    .await;
    let url = project.postgres().url_for("half_blind", project.database());
    let blind = PostgresSource::new(PostgresSettings::new(url.clone())).unwrap();
    let error = blind.check().await.unwrap_err();
    assert!(error.kind() == ErrorKind::Config && error.to_string().contains("public.secret"), "{error}");
    assert!(!error.to_string().contains("public.open") && error.remedy().unwrap().contains("--allow-partial"));
    // Nor does a table that the check did not ask for lose rows.
    let request = |table: &str| request(table, &["id"], &["id", "n"], 10);
    let unseen = walk(&blind, request("secret")).await.unwrap_err();
    assert!(unseen.kind() == ErrorKind::Forbidden && unseen.to_string().contains("row-level security"), "{unseen}");
    assert_eq!(walk(&blind, request("open")).await.unwrap().len(), 1);
    let closed = walk(&blind, request("closed")).await.unwrap_err();
    assert_eq!(closed.kind(), ErrorKind::Forbidden);
    assert!(closed.remedy().unwrap().contains("grant select on public.closed to half_blind"), "{closed:?}");
    let partial = PostgresSource::new(PostgresSettings { allow_partial: true, ..PostgresSettings::new(url) }).unwrap();
    partial.check().await.unwrap();
    assert_eq!(walk(&partial, request("secret")).await.unwrap().len(), 1);
    source(&project).check().await.unwrap();
}
