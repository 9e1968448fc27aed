//! What ends a run of the program itself: its exit code, what it says, and that the next run ends in the right documents.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Output;

use migrate_tests::convex_bench::{self, ConvexBench};
use migrate_tests::fault_proxy::{Fault, FaultKind, FaultPlan, FaultProxy, RetryAfter};
use migrate_tests::local_stack::Supabase;
use migrate_tests::project::{Deployment, Profile, ProjectFolder, output};
use migrate_tests::shop;
use serde_json::Value;
use tempfile::TempDir;

use super::assert_documents;

const PAGES: &str = "/rest/v1/orders?select";

/// The shop, planned, with a proxy before it.
struct Shop {
    folder: ProjectFolder,
    supabase: Supabase,
    proxy: FaultProxy,
    convex: ConvexBench,
    _files: TempDir,
}

impl Shop {
    async fn planned() -> Self {
        let files = tempfile::tempdir().unwrap();
        std::fs::set_permissions(files.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        std::fs::write(files.path().join("migrate.toml"), shop::CONFIGURATION).unwrap();
        let folder = ProjectFolder::new(files.path(), Profile::Own).await.unwrap();
        let supabase = shop::supabase(1000).await.unwrap();
        let proxy = FaultProxy::start(supabase.url(), FaultPlan::default()).await.unwrap();
        proxy.only(PAGES);
        let shop = Self { folder, supabase, proxy, convex: shop::convex().await.unwrap(), _files: files };
        shop.plan().await;
        shop
    }

    async fn plan(&self) {
        self.run("migrate-discover", &[], 0).await;
        self.run("migrate-plan", &[], 0).await;
    }

    /// Runs a program and expects its exit code; gives what it printed.
    async fn run(&self, name: &str, arguments: &[&str], code: i32) -> String {
        let url = self.convex.url();
        let convex = Deployment { url: &url, admin_key: self.convex.admin_key() };
        let mut program = self.folder.program(name, arguments, &self.supabase, Some(convex));
        program.env("SUPABASE_URL", self.proxy.url());
        let Output { status, stdout, stderr } = output(program).await.unwrap();
        let printed = String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned();
        assert_eq!(status.code(), Some(code), "{name} {arguments:?}:\n{printed}");
        for secret in ["a page of the edge", "a row value", self.supabase.secret_key(), self.convex.admin_key()] {
            assert!(!printed.contains(secret), "{name} printed `{secret}`:\n{printed}");
        }
        printed
    }

    /// A run through all rows that ends with this code, saying all of this.
    async fn ends(&self, code: i32, says: &[&str]) {
        let printed = self.run("migrate-run", &["--quiet", "--fresh"], code).await;
        assert_says(&printed, says);
    }

    /// The next run, which goes on and ends well.
    async fn goes_on(&self, what: &str) {
        self.run("migrate-run", &["--quiet"], 0).await;
        assert_documents(&self.supabase, &self.convex, what).await;
        let report = self.folder.report().unwrap();
        assert_eq!(report["outcome"], "complete", "{what}: {report}");
    }

    fn orders(&self) -> Value {
        self.folder.report().unwrap()["tables"]["orders"].clone()
    }

    /// Lets a run come to the fourth page of orders, runs `sql` there and lets it end with this code.
    async fn ends_when(&self, sql: &str, code: i32) -> String {
        let mut held = self.proxy.hold(PAGES, 3);
        let owner = self.supabase.client().await.unwrap();
        let change = async {
            held.reached().await.unwrap();
            owner.batch_execute(sql).await.unwrap();
            drop(held);
        };
        let (printed, ()) = tokio::join!(self.run("migrate-run", &["--quiet", "--fresh"], code), change);
        printed
    }
}

fn assert_says(printed: &str, parts: &[&str]) {
    // Messages are wrapped to the width of the output.
    let words = printed.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in parts {
        assert!(words.contains(part), "`{part}` is not in:\n{printed}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_of_the_source_that_end_a_run() {
    let shop = Shop::planned().await;
    let hour = |kind: FaultKind| Fault::from(kind).with_retry_after(RetryAfter::Seconds(3600));
    let cases: &[(Fault, i32, &[&str])] = &[
        (FaultKind::ProjectPaused540.into(), 4, &["the project is paused", "restore it in the Supabase dashboard"]),
        (FaultKind::KeyRevoked.into(), 4, &["the key was refused", "API keys page", "table: orders"]),
        (FaultKind::HtmlPage200.into(), 1, &["it is not JSON", "table: orders"]),
        (FaultKind::UnknownCode500.into(), 1, &["code: 39P03", "table: orders"]),
        (Fault::repeated_page(1), 1, &["its rows do not lead on", "table: orders"]),
        (hour(FaultKind::TooManyRequests429), 5, &["too many requests", "3600", "goes on where this run stopped"]),
        (hour(FaultKind::Unavailable503), 5, &["the server cannot serve for now", "3600"]),
    ];
    for (fault, code, says) in cases {
        shop.proxy.script([None, None, None, None, Some(*fault)]);
        shop.ends(*code, says).await;
        let what = format!("{fault:?}");
        assert_eq!(shop.orders()["status"], "incomplete", "{what}");
        let read = shop.orders()["source"].as_u64().unwrap();
        assert!(read < 1000, "{what}: {read} rows");
        shop.proxy.restore_key();
        shop.goes_on(&what).await;
        assert_eq!(shop.orders()["this_run"]["read"], 1000 - read, "{what}");
    }
    // Before a run begins, nothing is left behind by it.
    shop.proxy.only("/rest/v1/");
    shop.proxy.set_faults(FaultPlan { standing: vec![FaultKind::ProjectPaused540.into()], ..FaultPlan::default() });
    let runs = || std::fs::read_dir(shop.folder.path().join(".migrate")).unwrap().count();
    let before = runs();
    shop.ends(4, &["the project is paused", "restore it in the Supabase dashboard"]).await;
    assert_eq!(runs(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_of_the_sink_that_end_a_run() {
    use convex_bench::Fault;
    let shop = Shop::planned().await;
    let cases: &[(Fault, i32, &[&str])] = &[
        (Fault::FunctionMissing, 4, &["find the function", "bulkInsertOrders", "npx convex"]),
        (Fault::KeyRevoked, 4, &["be let in with the key of CONVEX_SELF_HOSTED_ADMIN_KEY", "generate_admin_key.sh"]),
        (
            Fault::TooManyRequests429 { retry_after: Some(std::time::Duration::from_hours(1)) },
            5,
            &["write that fast", "3600", "goes on where this run stopped"],
        ),
    ];
    for (fault, code, says) in cases {
        let what = format!("{fault:?}");
        // The check calls three functions; then come the customers and some orders.
        shop.convex.script([None, None, None, None, None, None, Some(fault.clone())]);
        shop.ends(*code, says).await;
        assert_eq!(shop.orders()["status"], "incomplete", "{what}");
        shop.convex.restore_admin_key();
        shop.goes_on(&what).await;
    }
    let counters = shop.convex.counters();
    assert_eq!((counters.inserted, counters.updated), (1050, 0), "{counters:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_dropped_while_it_is_read() {
    let shop = Shop::planned().await;
    let printed = shop.ends_when("drop table orders", 4).await;
    assert_says(&printed, &["the table does not exist", "table: orders", "check its name"]);
    assert_eq!(shop.orders()["status"], "missing");
    let owner = shop.supabase.client().await.unwrap();
    let create = &shop::SCHEMA[shop::SCHEMA.find("create table orders").unwrap()..];
    owner.batch_execute(&format!("{create} {}", shop::orders_sql(1, 1000))).await.unwrap();
    shop.supabase.reload_schema().await.unwrap();
    shop.goes_on("dropped and made again").await;
    assert_eq!(shop.orders()["status"], "complete");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_that_is_added_altered_or_dropped_while_its_table_is_read() {
    let shop = Shop::planned().await;
    let owner = shop.supabase.client().await.unwrap();
    let printed = shop.ends_when("alter table orders add column extra text default 'x'", 0).await;
    assert!(!printed.contains("extra"), "{printed}");
    assert_documents(&shop.supabase, &shop.convex, "a column that is not planned").await;
    owner.batch_execute("alter table orders drop column extra").await.unwrap();

    let alter = "alter table orders alter column quantity type text using quantity || ' pieces'";
    let printed = shop.ends_when(alter, 4).await;
    assert_says(&printed, &["read a string as int", "table: orders", "column: quantity", "run migrate-discover again"]);
    // Without a new plan the next run is refused, and after it too: rows of both types are not mixed in one state.
    shop.supabase.reload_schema().await.unwrap();
    let printed = shop.run("migrate-run", &["--quiet"], 4).await;
    assert_says(&printed, &["the source's schema has changed since", "quantity", "migrate-discover"]);
    shop.plan().await;
    let printed = shop.run("migrate-run", &["--quiet"], 4).await;
    assert_says(&printed, &["--fresh"]);
    let alter = "alter table orders alter column quantity type integer using replace(quantity, ' pieces', '')::integer";
    owner.batch_execute(alter).await.unwrap();
    shop.supabase.reload_schema().await.unwrap();
    shop.plan().await;
    shop.run("migrate-run", &["--quiet", "--fresh"], 0).await;
    assert_documents(&shop.supabase, &shop.convex, "altered and back").await;

    let drop = "alter table orders rename column note to remark; notify pgrst, 'reload schema'";
    let printed = shop.ends_when(drop, 4).await;
    assert_says(&printed, &["a column does not exist", "note", "table: orders", "run migrate-discover again"]);
    owner.batch_execute("alter table orders rename column remark to note").await.unwrap();
    shop.supabase.reload_schema().await.unwrap();
    shop.goes_on("renamed and back").await;
}
