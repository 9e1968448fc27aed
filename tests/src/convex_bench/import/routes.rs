//! The routes of imports. Each meets faults as calls of functions do.

use std::sync::Arc;

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{ConnectInfo, Query, State},
    http::{HeaderMap, StatusCode, Uri},
    response::{IntoResponse as _, Response},
    routing::post,
};
use futures::TryStreamExt as _;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::json;

use crate::convex_bench::{
    connection::Connection,
    counters::Call,
    ending::Ending,
    fault::Fault,
    functions::hash,
    protocol::{self, SystemError},
    server::Shared,
};

use super::{
    row::{Mode, State as ImportState},
    worker,
};

/// All routes of imports.
pub(in crate::convex_bench) fn router() -> Router<Arc<Shared>> {
    let route = |route: Route| {
        post(
            move |State(shared): State<Arc<Shared>>,
                  ConnectInfo(connection): ConnectInfo<Connection>,
                  uri: Uri,
                  headers: HeaderMap,
                  body: Body| async move {
                let part = Query::try_from_uri(&uri).ok().map(|Query(part)| part);
                let called = answer(route, &shared, &connection, part, &headers, body).await;
                called.unwrap_or_else(SystemError::into_response)
            },
        )
    };
    Route::ALL.into_iter().fold(Router::new(), |router, each| router.route(each.path(), route(each)))
}

/// What a route does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Route {
    Start,
    Part,
    Finish,
    Perform,
    Cancel,
}

impl Route {
    const ALL: [Self; 5] = [Self::Start, Self::Part, Self::Finish, Self::Perform, Self::Cancel];

    fn path(self) -> &'static str {
        match self {
            Self::Start => "/api/import/start_upload",
            Self::Part => "/api/import/upload_part",
            Self::Finish => "/api/import/finish_upload",
            Self::Perform => "/api/perform_import",
            Self::Cancel => "/api/cancel_import",
        }
    }
}

/// Which part of which upload a body is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Part {
    upload_token: String,
    part_number: usize,
}

async fn answer(
    route: Route,
    shared: &Arc<Shared>,
    connection: &Connection,
    part: Option<Part>,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, SystemError> {
    let body = match route {
        // Nothing is kept of a part that does not come to its end.
        Route::Start | Route::Part => read_bytes(body).await,
        _ => protocol::read_json(headers, body).await,
    };
    protocol::require_admin(shared.authorize(headers)?)?;
    let body = body?;
    let path = route.path();
    let size = u64::try_from(body.len()).unwrap_or(u64::MAX);
    let fingerprint = hash(path) ^ part.as_ref().map_or(0, |part| hash(&part.part_number.to_string()));
    let faults = {
        let mut state = shared.state();
        state.counters.import_calls += 1;
        state.counters.import_bytes += size;
        state.faults_of(path, fingerprint)
    };
    let mut injected = Vec::new();
    for fault in &faults {
        if let Fault::Slow(time) = fault {
            injected.push(fault.kind());
            tokio::time::sleep(*time).await;
        }
    }
    let fault = faults.iter().find(|fault| fault.applies_to_every_call());
    injected.extend(fault.map(Fault::kind));
    let ending = match Ending::before(fault, shared) {
        Some(ending) => ending,
        None => match run(route, shared, part, body).await {
            Ok(body) => Ending::after(fault, body),
            Err(error) => Ending::Response(error.into_response()),
        },
    };
    let committed = ending.is_committed();
    shared.log(Call { path: path.to_owned(), record_count: 0, faults: injected, committed });
    Ok(ending.send(shared, connection).await)
}

async fn read_bytes(body: Body) -> Result<Vec<u8>, SystemError> {
    let chunks: Vec<Bytes> = body.into_data_stream().try_collect().await.map_err(|error| {
        let message = format!("failed to read request body: {error}");
        SystemError::new(StatusCode::BAD_REQUEST, "ImportFailed", message)
    })?;
    Ok(chunks.concat())
}

/// Does what the route is for and returns the answer's body.
async fn run(route: Route, shared: &Arc<Shared>, part: Option<Part>, body: Vec<u8>) -> Result<String, SystemError> {
    match route {
        Route::Start => {
            let token = shared.state().imports.uploads.start()?;
            Ok(json!({ "uploadToken": token }).to_string())
        }
        Route::Part => {
            let part = part.ok_or_else(|| bad("BadQueryArgs", "uploadToken and partNumber are needed"))?;
            let work = Arc::clone(shared);
            let append = move || work.state().imports.uploads.append(&part.upload_token, part.part_number, &body);
            let token = tokio::task::spawn_blocking(append).await.map_err(|_| SystemError::internal())??;
            Ok(json!(token).to_string())
        }
        Route::Finish => finish(shared, &parse(&body)?),
        Route::Perform => {
            let Named { import_id } = parse(&body)?;
            confirm(shared, &import_id).map(|()| String::new())
        }
        Route::Cancel => {
            let Named { import_id } = parse(&body)?;
            cancel(shared, &import_id).map(|()| String::new())
        }
    }
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, SystemError> {
    serde_json::from_slice(body)
        .map_err(|error| bad("BadJsonBody", &format!("Failed to parse the request body as JSON: {error}")))
}

fn bad(code: &'static str, message: &str) -> SystemError {
    SystemError::new(StatusCode::BAD_REQUEST, code, message)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Named {
    import_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Finish {
    import: Import,
    upload_token: String,
    part_tokens: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Import {
    table_name: Option<String>,
    component_path: Option<String>,
    format: String,
    #[serde(default)]
    mode: Mode,
}

fn finish(shared: &Arc<Shared>, finish: &Finish) -> Result<String, SystemError> {
    let Import { table_name, component_path, format, mode } = &finish.import;
    if format != "zip" {
        return Err(bad("UnsupportedFormat", "this stand-in imports `zip` only"));
    }
    if table_name.is_some() {
        return Err(bad("InvalidName", "ZIP import cannot have table name"));
    }
    if component_path.as_ref().is_some_and(|path| !path.is_empty()) {
        return Err(bad("UnsupportedComponent", "this stand-in has no components"));
    }
    let id = {
        let mut state = shared.state();
        let min_part = shared.import_options.min_part_bytes;
        let archive = state.imports.uploads.finish(&finish.upload_token, &finish.part_tokens, min_part)?;
        let creation_time = state.store.next_creation_time();
        state.imports.add(*mode, archive, creation_time, ImportState::Uploaded)
    };
    tokio::spawn(worker::examine(Arc::clone(shared), id.clone()));
    Ok(json!({ "importId": id }).to_string())
}

/// Lets an import that waits for it begin; nothing happens to any other.
fn confirm(shared: &Arc<Shared>, id: &str) -> Result<(), SystemError> {
    let mut state = shared.state();
    let row = state.imports.row(id).ok_or_else(|| unknown(id))?;
    if matches!(row.state, ImportState::Waiting { .. }) {
        let message = "Importing".to_owned();
        state.imports.update(id, |row| row.state = ImportState::InProgress { message, done: Vec::new() });
        tokio::spawn(worker::perform(Arc::clone(shared), id.to_owned()));
    }
    Ok(())
}

fn cancel(shared: &Shared, id: &str) -> Result<(), SystemError> {
    let mut state = shared.state();
    let row = state.imports.row(id).ok_or_else(|| unknown(id))?;
    match row.state {
        ImportState::Completed { .. } => Err(bad("ImportAlreadyCompleted", "The import has completed already")),
        ImportState::Failed { .. } => Err(bad("ImportAlreadyFailed", "The import has failed already")),
        _ => {
            let message = "Import canceled".to_owned();
            state.imports.update(id, |row| row.state = ImportState::Failed { message });
            drop(state);
            // Where the worker waits at the end of this import, it looks at it again.
            shared.imports_held.send_modify(|_| {});
            Ok(())
        }
    }
}

fn unknown(id: &str) -> SystemError {
    bad("InvalidImport", &format!("invalid import id {id}"))
}
