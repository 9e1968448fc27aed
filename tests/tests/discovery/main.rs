//! Discovery of a schema with one of every kind, by the data API, by Postgres, and by both.

use std::fmt::Write as _;

use migrate_core::catalog::{
    Catalog, Digits, Generation, InventoryKind, OnDelete, ScalarKind, TableKind, TableSchema, TableState,
};
use migrate_core::names::{FieldName, TableName};
use migrate_core::source::{KeyRange, PageRequest};
use migrate_core::value::Value;
use migrate_core::{Error, ErrorKind, Source as _};
use migrate_tests::local_stack::{Postgres, Supabase, SupabaseOptions};
use serde_json::json;
use supabase_source::{PostgresCatalog, PostgresSettings, SupabaseSettings, SupabaseSource};

const SHOP: &str = include_str!("shop.sql");
const CANARY: &str = "hunter2-canary";

async fn shop() -> Supabase {
    let schemas = vec!["public".to_owned(), "billing".to_owned()];
    let options = SupabaseOptions { sql: vec![SHOP.to_owned()], schemas, ..SupabaseOptions::default() };
    Supabase::start(options).await.unwrap()
}

fn name(text: &str) -> TableName {
    text.parse().unwrap()
}

fn fields(names: &[&str]) -> Vec<FieldName> {
    names.iter().copied().map(FieldName::from).collect()
}

/// The project's connection string, with a password that must not be seen again.
fn url_of(supabase: &Supabase, user: &str) -> String {
    let port = supabase.postgres().port();
    format!("postgresql://{user}:{CANARY}@127.0.0.1:{port}/{}", supabase.database())
}

fn postgres_settings(supabase: &Supabase) -> PostgresSettings {
    PostgresSettings {
        schemas: vec!["public".to_owned(), "billing".to_owned()],
        count_rows: true,
        ..PostgresSettings::new(url_of(supabase, "postgres"))
    }
}

async fn discover(settings: PostgresSettings) -> Result<Catalog, Error> {
    PostgresCatalog::new(settings)?.discover().await
}

fn source(supabase: &Supabase, database_url: Option<String>) -> SupabaseSource {
    let mut settings = SupabaseSettings::new(supabase.url(), supabase.secret_key());
    settings.schemas = vec!["public".to_owned(), "billing".to_owned()];
    settings.database_url = database_url.map(Into::into);
    SupabaseSource::new(settings).unwrap()
}

fn table<'c>(catalog: &'c Catalog, table: &str) -> &'c TableSchema {
    catalog.table(&name(table)).unwrap_or_else(|| panic!("{table} is not in {:?}", names(catalog)))
}

fn names(catalog: &Catalog) -> Vec<String> {
    catalog.tables.iter().map(|table| table.name.to_string()).collect()
}

fn scalar(table: &TableSchema, column: &str) -> (ScalarKind, bool) {
    let source_type = &table.column(column).unwrap().source_type;
    (source_type.scalar, source_type.array)
}

fn says(lines: &[String], texts: &[&str]) -> bool {
    lines.iter().any(|line| texts.iter().all(|text| line.contains(text)))
}

#[tokio::test]
async fn postgres_tells_every_kind() {
    let supabase = shop().await;
    let catalog = discover(postgres_settings(&supabase)).await.unwrap();
    assert_eq!(
        names(&catalog),
        [
            "billing.invoices",
            "customers",
            "daily",
            "events",
            "kinds",
            "order_totals",
            "orders",
            "regions",
            "remote_notes",
            "secret_notes",
            "unkeyed"
        ]
    );
    let kind = |text: &str| table(&catalog, text).kind;
    assert_eq!(kind("daily"), TableKind::MaterializedView);
    assert_eq!(kind("events"), TableKind::Partitioned);
    assert_eq!(kind("order_totals"), TableKind::View);
    assert_eq!(kind("remote_notes"), TableKind::Foreign);
    let rows = |text: &str| (table(&catalog, text).state, table(&catalog, text).rows);
    assert_eq!(rows("customers"), (TableState::Present, Some(3)));
    assert_eq!(rows("events"), (TableState::Present, Some(2)));
    assert_eq!(rows("orders"), (TableState::Empty, Some(0)));
    assert_eq!(rows("remote_notes"), (TableState::Present, None));

    let customers = table(&catalog, "customers");
    assert_eq!(customers.comment.as_deref(), Some("People who buy"));
    assert_eq!(customers.unique_keys.as_deref(), Some([fields(&["email"])].as_slice()));
    let parents: Vec<_> = customers.foreign_keys.iter().map(|key| (key.parent.to_string(), key.on_delete)).collect();
    assert_eq!(
        parents,
        [("customers".to_owned(), Some(OnDelete::SetNull)), ("auth.users".to_owned(), Some(OnDelete::Cascade))]
    );
    assert_eq!(customers.column("Full Name").unwrap().default, Some(json!("it's nobody")));
    let lists: Vec<_> = customers.checks.iter().flatten().filter_map(|check| check.one_of.as_ref()).collect();
    let lists: Vec<_> = lists.iter().map(|list| (list.column.as_str(), list.values.join("|"))).collect();
    assert_eq!(lists, [("plan", "free|pro".to_owned()), ("status", "new|it's \"old\"|gone".to_owned())]);
    assert_eq!(customers.checks.as_ref().unwrap().len(), 3);

    let orders = table(&catalog, "orders");
    let generation = |column: &str| orders.column(column).unwrap().generation;
    assert_eq!(generation("id"), Some(Generation::Sequence));
    assert_eq!(generation("number"), Some(Generation::Sequence));
    assert_eq!(generation("total"), Some(Generation::Stored));
    assert_eq!(generation("due"), Some(Generation::Written));
    let digits = |column: &str| orders.column(column).unwrap().source_type.digits;
    assert_eq!(digits("total"), Some(Digits { precision: 12, scale: 2 }));
    assert_eq!(digits("list"), Some(Digits { precision: 10, scale: 2 }));
    let unit = orders.column("unit").unwrap();
    assert_eq!(unit.source_type.domain.as_deref(), Some("public.price"));
    assert_eq!((unit.nullable, unit.default.clone()), (false, Some(json!(0))));
    let list = &orders.column("list").unwrap().source_type;
    assert_eq!((list.name.as_str(), list.domain.as_deref()), ("numeric(10,2)[]", Some("public.list_price")));
    let region = orders.foreign_keys.iter().find(|key| key.name.as_deref() == Some("orders_region")).unwrap();
    assert_eq!(
        (&region.columns, &region.parent_columns),
        (&fields(&["region", "country"]), &fields(&["code", "country"]))
    );
    assert_eq!(table(&catalog, "regions").primary_key, fields(&["code", "country"]));
    let mut unique = orders.unique_keys.clone().unwrap();
    unique.sort();
    assert_eq!(unique, [fields(&["email", "id"]), fields(&["number", "customer_id"])]);
    let indexes = orders.indexes.as_ref().unwrap();
    assert_eq!((indexes.len(), indexes[0].columns.clone()), (1, fields(&["customer_id", "placed_at"])));
    assert!(says(&catalog.unknown, &["orders_open, orders_year"]), "{:?}", catalog.unknown);
    assert_eq!(table(&catalog, "billing.invoices").foreign_keys[0].parent, name("orders"));
    assert_eq!(table(&catalog, "events").primary_key, fields(&["id", "at"]));

    require_every_family(table(&catalog, "kinds"));
    let shown = format!("{catalog:?}");
    assert!(!shown.contains("canary"), "the arguments of triggers and the commands of jobs may hold keys");
    insta::assert_snapshot!("postgres_tells_every_kind", digest(&catalog));
}

fn require_every_family(kinds: &TableSchema) {
    let methods: Vec<_> = kinds.indexes.iter().flatten().map(|index| index.method.as_str()).collect();
    assert_eq!(methods, ["hash", "gin"]);
    for (column, expected) in [
        ("moods", (ScalarKind::Enum, true)),
        ("mood", (ScalarKind::Enum, false)),
        ("tags", (ScalarKind::Text, true)),
        ("cash", (ScalarKind::Money, false)),
        ("ip", (ScalarKind::Network, false)),
        ("mac", (ScalarKind::Network, false)),
        ("bits", (ScalarKind::Bits, false)),
        ("doc", (ScalarKind::Xml, false)),
        ("search", (ScalarKind::Search, false)),
        ("pairs", (ScalarKind::Hstore, false)),
        ("path", (ScalarKind::Other, false)),
        ("class", (ScalarKind::Oid, false)),
        ("spans", (ScalarKind::Range, false)),
        ("floats", (ScalarKind::Range, false)),
        ("floatss", (ScalarKind::Range, false)),
        ("area", (ScalarKind::Shape, false)),
        ("home", (ScalarKind::Composite, false)),
        ("homes", (ScalarKind::Composite, true)),
        ("one", (ScalarKind::Text, false)),
    ] {
        assert_eq!(scalar(kinds, column), expected, "{column}");
    }
    assert_eq!(kinds.column("moods").unwrap().source_type.labels, ["sad", "it's ok", "happy"]);
    assert_eq!(kinds.column("moods").unwrap().default, Some(json!(["sad", "happy"])));
    assert_eq!(kinds.column("mood").unwrap().default, Some(json!("it's ok")));
    assert_eq!(kinds.column("grid").unwrap().source_type.dimensions, Some(2));
    assert_eq!(kinds.column("rounded").unwrap().source_type.digits, Some(Digits { precision: 3, scale: -2 }));
    assert_eq!(kinds.column("lines").unwrap().default, Some(json!("a\nb\\c")));
}

#[tokio::test]
async fn the_data_api_alone_says_what_it_cannot_tell() {
    let supabase = shop().await;
    let catalog = source(&supabase, None).discover().await.unwrap();
    let kinds: Vec<_> = catalog
        .tables
        .iter()
        .map(|table| (table.name.to_string(), table.kind))
        .filter(|(_, kind)| kind.is_view())
        .collect();
    assert_eq!(kinds, [("order_totals".to_owned(), TableKind::View)]);
    assert_eq!(table(&catalog, "billing.invoices").rows, Some(1));
    assert_eq!(table(&catalog, "orders").unique_keys, None);
    assert!(says(&catalog.unknown, &["unique keys"]) && says(&catalog.unknown, &["checks"]));
    assert_eq!(scalar(table(&catalog, "kinds"), "cash"), (ScalarKind::Money, false));
    assert_eq!(scalar(table(&catalog, "kinds"), "home"), (ScalarKind::Other, false));
    insta::assert_snapshot!("the_data_api_alone", digest(&catalog));
}

#[tokio::test]
async fn both_together_agree_and_know_more() {
    let supabase = shop().await;
    let source = source(&supabase, Some(url_of(&supabase, "postgres")));
    let catalog = source.discover().await.unwrap();
    assert_eq!(catalog.differences, [""; 0], "two origins of one schema say the same");
    assert!(!says(&catalog.unknown, &["unique keys"]), "{:?}", catalog.unknown);
    assert!(catalog.origin.starts_with("PostgREST 12.0.2 (OpenAPI), PostgreSQL 1"), "{}", catalog.origin);
    let orders = table(&catalog, "orders");
    assert_eq!((orders.state, orders.rows), (TableState::Empty, Some(0)));
    assert_eq!(orders.foreign_keys.len(), 3);
    let totals = table(&catalog, "order_totals");
    assert_eq!(totals.primary_key, fields(&["id"]), "the data API finds a view's key in its table");
    let secret = table(&catalog, "secret_notes");
    assert_eq!((secret.state, secret.columns.len()), (TableState::Forbidden, 1));
    assert!(says(&catalog.unknown, &["grant select on public.secret_notes to service_role;"]), "{:?}", catalog.unknown);
    assert_eq!(table(&catalog, "events").kind, TableKind::Partitioned);

    let columns: Vec<&str> = vec!["id", "home", "pairs", "cash", "ip", "bits", "object", "span", "place", "homes"];
    let request = PageRequest {
        table: name("kinds"),
        columns: fields(&columns).into(),
        key: fields(&["id"]).into(),
        range: KeyRange::all(),
        after: None,
        limit: 10,
    };
    let page = source.read_page(request).await.unwrap();
    let read = |column: &str| page.records[0].get(column).cloned().unwrap();
    assert_eq!(read("home"), Value::Json(r#"{"street":"Main","zip":1}"#.into()));
    assert_eq!(read("pairs"), Value::Json(r#"{"a": "1"}"#.into()));
    assert_eq!(read("homes"), Value::Array(vec![Value::Json(r#"{"street":"Side","zip":2}"#.into())]));
    for (column, text) in [
        ("cash", "$12.50"),
        ("ip", "10.0.0.1"),
        ("bits", "101"),
        ("object", "7"),
        ("span", "[1,3)"),
        ("place", "(1,2)"),
    ] {
        assert_eq!(read(column), Value::text(text), "{column}");
    }
}

#[tokio::test]
async fn a_stale_schema_cache_is_a_difference() {
    let supabase = shop().await;
    let owner = supabase.client().await.unwrap();
    for statement in [
        "alter table regions add column note text, drop column name",
        "update kinds set number = 1",
        "alter table kinds alter column small type bigint, alter column number set not null",
        "alter table unkeyed rename to renamed",
        "alter type mood add value 'new'",
        "create table fresh (id integer primary key)",
    ] {
        owner.batch_execute(statement).await.unwrap();
    }
    let stale = source(&supabase, Some(url_of(&supabase, "postgres")));
    let catalog = stale.discover().await.unwrap();
    insta::assert_snapshot!("a_stale_schema_cache", catalog.differences.join("\n"));
    assert!(table(&catalog, "regions").column("note").is_some() && table(&catalog, "regions").column("name").is_none());
    assert_eq!(table(&catalog, "fresh").columns.len(), 1);

    supabase.reload_schema().await.unwrap();
    assert_eq!(stale.discover().await.unwrap().differences, [""; 0]);
}

/// PostgREST writes a table's name into a header, and breaks it where the name has a line's end.
#[tokio::test]
async fn a_table_that_the_data_api_cannot_answer_for_leaves_the_others() {
    let sql = "create table \"line\nbreak\" (id int primary key); insert into \"line\nbreak\" values (1);
        create table orders (id int primary key); insert into orders values (1), (2);";
    let options = SupabaseOptions { sql: vec![sql.to_owned()], ..SupabaseOptions::default() };
    let supabase = Supabase::start(options).await.unwrap();
    let source = SupabaseSource::new(SupabaseSettings::new(supabase.url(), supabase.secret_key())).unwrap();
    let catalog = source.discover().await.unwrap();
    assert_eq!((table(&catalog, "orders").state, table(&catalog, "orders").rows), (TableState::Present, Some(2)));
    assert_eq!(table(&catalog, "line\nbreak").state, TableState::Forbidden);
    assert!(says(&catalog.unknown, &["line\nbreak", "control character", "postgres"]), "{:?}", catalog.unknown);
    // Postgres itself has no such trouble.
    let settings = PostgresSettings { count_rows: true, ..PostgresSettings::new(supabase.database_url()) };
    let catalog = discover(settings).await.unwrap();
    assert_eq!(table(&catalog, "line\nbreak").rows, Some(1));
}

#[tokio::test]
async fn what_a_role_may_not_read_is_unknown_and_no_failure() {
    let supabase = shop().await;
    let owner = supabase.client().await.unwrap();
    let reader = format!("reader_{}", supabase.database());
    owner
        .batch_execute(&format!("create role {reader} login; grant select on customers, regions to {reader};"))
        .await
        .unwrap();
    let settings = PostgresSettings {
        schemas: vec!["public".to_owned(), "private".to_owned()],
        expected_tables: vec![name("gone"), name("order_totals")],
        url: url_of(&supabase, &reader).into(),
        ..postgres_settings(&supabase)
    };
    let catalog = discover(settings).await.unwrap();
    assert_eq!(table(&catalog, "orders").state, TableState::Forbidden);
    assert!(!table(&catalog, "orders").columns.is_empty() && !table(&catalog, "private.keys").columns.is_empty());
    assert_eq!(table(&catalog, "gone").state, TableState::Missing);
    assert_eq!((table(&catalog, "regions").state, table(&catalog, "regions").rows), (TableState::Empty, Some(0)));
    assert_eq!(table(&catalog, "customers").rows, None, "row-level security hides rows");
    for texts in [
        ["rows of orders", &format!("grant select on public.orders to {reader};")],
        ["rows of private.keys", &format!("grant usage on schema private to {reader};")],
        ["number of rows of customers", "row-level security"],
        ["jobs of pg_cron", "grant select on cron.job"],
        ["buckets of files", "grant usage on schema storage"],
        ["users of Supabase Auth", "grant select on auth.users"],
    ] {
        assert!(says(&catalog.unknown, &texts), "{texts:?} in {:#?}", catalog.unknown);
    }
    let has = |kind: InventoryKind| catalog.inventory.iter().any(|item| item.kind == kind);
    assert!(has(InventoryKind::Policy) && has(InventoryKind::Function) && !has(InventoryKind::CronJob));
    assert!(!catalog.inventory.iter().any(|item| item.name == "order_totals"), "it is asked for");
    owner.batch_execute(&format!("drop owned by {reader}; drop role {reader}")).await.unwrap();
}

#[tokio::test]
async fn connections_that_fail_say_why_and_hide_the_password() {
    let postgres = Postgres::start().await.unwrap();
    let owner = postgres.connect("postgres").await.unwrap();
    let folder = postgres.process().folder().join("data/pg_hba.conf");
    owner
        .batch_execute(&format!(
            "create role locked login password 'another'; create role barred login; \
             copy (values ('host all locked all scram-sha-256'), ('host all barred all reject'), ('host all all all trust')) \
             to '{}'; select pg_reload_conf();",
            folder.display()
        ))
        .await
        .unwrap();
    let port = postgres.port();
    let cases = [
        (
            format!("postgresql://locked:{CANARY}@127.0.0.1:{port}/postgres"),
            ErrorKind::Unauthorized,
            "password was refused",
        ),
        (format!("postgresql://locked@127.0.0.1:{port}/postgres"), ErrorKind::Config, "asks for a password"),
        (
            format!("postgresql://barred:{CANARY}@127.0.0.1:{port}/postgres"),
            ErrorKind::Unauthorized,
            "user was refused",
        ),
        (format!("postgresql://postgres:{CANARY}@127.0.0.1:{port}/nowhere"), ErrorKind::Config, "no such database"),
        (
            format!("postgresql://postgres:{CANARY}@127.0.0.1:{port}/postgres?sslmode=verify-full"),
            ErrorKind::Config,
            "encrypted",
        ),
        (format!("postgresql://postgres:{CANARY}@127.0.0.1:1/postgres"), ErrorKind::Unreachable, "nothing listens"),
        (
            format!("postgresql://postgres:{CANARY}@db.abcdefghijklmnopqrst.supabase.co.invalid:5432/postgres"),
            ErrorKind::Unreachable,
            "check the host's name",
        ),
        (format!("postgresql://postgres:{CANARY}@127.0.0.1:{port}:/postgres"), ErrorKind::Config, "connection string"),
    ];
    for (url, kind, text) in cases {
        let error = discover(PostgresSettings::new(url.clone())).await.unwrap_err();
        let shown = format!("{error} {error:?}");
        let without = url.replace(CANARY, "…");
        assert_eq!(error.kind(), kind, "{without}: {error}");
        assert!(shown.contains(text), "{without}: {shown}");
        assert!(!shown.contains(CANARY), "{shown}");
        assert!(error.remedy().is_some(), "{error}");
    }

    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let mut settings = PostgresSettings::new(format!("postgresql://postgres:{CANARY}@127.0.0.1:{port}/postgres"));
    settings.connect_timeout = std::time::Duration::from_millis(200);
    let error = discover(settings).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut, "{error}");
    drop(silent);

    let mut settings = SupabaseSettings::new("https://abc.supabase.co", "sb_secret_0123456789abcdefghij");
    settings.database_url = Some(format!("postgres://postgres:{CANARY}@db.xyz.supabase.co/postgres").into());
    assert!(!format!("{settings:?}").contains(CANARY));
    let error = SupabaseSource::new(settings).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("another project") && !format!("{error:?}").contains(CANARY), "{error}");
}

#[tokio::test]
async fn encryption_is_as_sslmode_says() {
    let postgres = Postgres::start().await.unwrap();
    let owner = postgres.connect("postgres").await.unwrap();
    let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (certificate, key) = (own.cert.pem(), own.signing_key.serialize_pem());
    for (text, file) in [(&certificate, "server.crt"), (&key, "server.key")] {
        let text = format!("select unnest(string_to_array('{}', e'\\n'))", text.trim());
        owner.batch_execute(&format!("copy ({text}) to program 'umask 077; cat > {file}'")).await.unwrap();
    }
    owner.batch_execute("alter system set ssl = on").await.unwrap();
    let hba = postgres.process().folder().join("data/pg_hba.conf");
    let rules = format!(
        "copy (values ('hostssl all ciphered all trust'), ('host all postgres all trust')) to '{}'",
        hba.display()
    );
    owner.batch_execute(&rules).await.unwrap();
    owner.batch_execute("create role ciphered login; select pg_reload_conf();").await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root.crt");
    std::fs::write(&root, certificate).unwrap();
    let root = root.display();
    let port = postgres.port();
    let url = |host: &str, query: &str| format!("postgresql://ciphered:{CANARY}@{host}:{port}/postgres?{query}");
    // The server takes its new settings a moment later.
    let started = std::time::Instant::now();
    while discover(PostgresSettings::new(url("localhost", "sslmode=require"))).await.is_err() {
        assert!(started.elapsed() < std::time::Duration::from_secs(30), "the server does not encrypt");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    for query in [String::new(), "sslmode=prefer".to_owned(), format!("sslmode=verify-full&sslrootcert={root}")] {
        discover(PostgresSettings::new(url("localhost", &query))).await.unwrap();
    }
    for (host, query, text) in [
        ("localhost", "sslmode=disable", "wants an encrypted connection"),
        ("localhost", "sslmode=verify-full", "certificate is not trusted"),
        ("127.0.0.1", &format!("sslmode=verify-full&sslrootcert={root}"), "certificate is not trusted"),
        ("localhost", "sslrootcert=/nowhere/root.crt", "read the certificate"),
    ] {
        let error = discover(PostgresSettings::new(url(host, query))).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{host} {query}: {error:?}");
        assert!(error.to_string().contains(text) && !format!("{error:?}").contains(CANARY), "{query}: {error}");
    }
}

/// A catalog as lines, which are easier to review than its JSON.
fn digest(catalog: &Catalog) -> String {
    let mut text = String::new();
    let join = |fields: &[FieldName]| fields.iter().map(FieldName::as_str).collect::<Vec<_>>().join(", ");
    for table in &catalog.tables {
        writeln!(
            text,
            "{} {:?} {:?} {:?}, key ({})",
            table.name,
            table.kind,
            table.state,
            table.rows,
            join(&table.primary_key)
        )
        .unwrap();
        for column in &table.columns {
            let source_type = &column.source_type;
            write!(text, "  {}: {} = {:?}", column.name, source_type.name, source_type.scalar).unwrap();
            for (is_so, word) in [(source_type.array, " array"), (!column.nullable, " not null")] {
                text.push_str(if is_so { word } else { "" });
            }
            for (name, value) in [
                ("default", column.default.as_ref().map(ToString::to_string)),
                ("expression", column.default_expression.clone()),
                ("generation", column.generation.map(|generation| format!("{generation:?}"))),
                ("domain", source_type.domain.clone()),
                ("dimensions", source_type.dimensions.map(|dimensions| dimensions.to_string())),
                ("digits", source_type.digits.map(|digits| format!("{}/{}", digits.precision, digits.scale))),
                ("labels", (!source_type.labels.is_empty()).then(|| source_type.labels.join("|"))),
                ("comment", column.comment.clone()),
            ] {
                if let Some(value) = value {
                    write!(text, ", {name} {value}").unwrap();
                }
            }
            text.push('\n');
        }
        for key in table.unique_keys.iter().flatten() {
            writeln!(text, "  unique ({})", join(key)).unwrap();
        }
        for index in table.indexes.iter().flatten() {
            writeln!(text, "  index {} {} ({})", index.name, index.method, join(&index.columns)).unwrap();
        }
        for key in &table.foreign_keys {
            let (columns, parent_columns) = (join(&key.columns), join(&key.parent_columns));
            let (name, on_delete) = (key.name.as_deref().unwrap_or("-"), key.on_delete);
            writeln!(text, "  {name} ({columns}) -> {} ({parent_columns}) {on_delete:?}", key.parent).unwrap();
        }
        for check in table.checks.iter().flatten() {
            let values = check.one_of.as_ref().map(|list| format!(" one of {:?}", list.values)).unwrap_or_default();
            writeln!(text, "  check {}: {}{values}", check.name, check.definition).unwrap();
        }
    }
    let is_of_version = |kind| matches!(kind, InventoryKind::Extension | InventoryKind::View);
    for item in &catalog.inventory {
        // Versions of extensions differ by machine, and so does how a version of Postgres prints a query.
        let detail = item.detail.as_deref().filter(|_| !is_of_version(item.kind)).unwrap_or_default();
        let detail = detail.split_whitespace().collect::<Vec<_>>().join(" ");
        writeln!(text, "{:?} {}: {detail}", item.kind, item.name).unwrap();
    }
    for line in &catalog.unknown {
        writeln!(text, "unknown: {line}").unwrap();
    }
    text
}
