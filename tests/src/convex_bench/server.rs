//! The routes, and the path of one call through authorization, faults and the store.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::{ConnectInfo, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::{json, value::RawValue};
use tokio::sync::watch;

use crate::fault_plan::Schedule;
use crate::recent::Recent;

use super::{
    connection::Connection,
    counters::{Call, Counters},
    ending::Ending,
    fault::{Fault, FaultKind},
    functions::{Failure, Function, FunctionPath, Reading, hash},
    import::{self, ImportOptions, Imports},
    limits,
    protocol::{self, Caller, FunctionRequest, SystemError},
    store::Store,
    system::SystemQuery,
};

/// What `GET /version` says.
pub(super) const VERSION: &str = concat!("convex-bench ", env!("CARGO_PKG_VERSION"), " (a stand-in, not Convex)");

/// Everything that the server's tasks share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) admin_key: String,
    pub(super) legacy_id_field: String,
    pub(super) keep_documents: bool,
    pub(super) key_revoked: AtomicBool,
    pub(super) state: Mutex<MutableState>,
    /// True once the server is to stop; calls that hang end then.
    pub(super) stopping: watch::Receiver<bool>,
    pub(super) import_options: ImportOptions,
    /// The tables that were there from the start, as those of a schema are.
    pub(super) declared: Vec<String>,
    /// Held by the one import that is worked on.
    pub(super) worker: Arc<tokio::sync::Mutex<()>>,
    /// True while no import may come to its end.
    pub(super) imports_held: watch::Sender<bool>,
}

/// What calls change. The lock is never held across an await.
#[derive(Debug)]
pub(super) struct MutableState {
    pub(super) store: Store,
    pub(super) schedule: Schedule<Fault>,
    pub(super) counters: Counters,
    pub(super) calls: Recent<Call>,
    pub(super) imports: Imports,
    /// What the path of a call must begin with for a fault.
    pub(super) faulty_path: String,
}

impl MutableState {
    /// The faults of the next call.
    pub(super) fn faults_of(&mut self, path: &str, fingerprint: u64) -> Vec<Fault> {
        if path.starts_with(&self.faulty_path) { self.schedule.next(fingerprint) } else { Vec::new() }
    }
}

impl Shared {
    pub(super) fn state(&self) -> MutexGuard<'_, MutableState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps what became of a call.
    pub(super) fn log(&self, call: Call) {
        let mut state = self.state();
        for kind in &call.faults {
            *state.counters.faults.entry(*kind).or_default() += 1;
        }
        state.calls.push(call);
    }

    pub(super) fn authorize(&self, headers: &HeaderMap) -> Result<Caller, SystemError> {
        let caller = protocol::authorize(headers, &self.admin_key)?;
        if caller == Caller::Admin && self.key_revoked.load(Ordering::SeqCst) {
            return Err(SystemError::bad_admin_key());
        }
        protocol::check_client(headers)?;
        Ok(caller)
    }
}

/// The kind of function that a route runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Route {
    Query,
    Mutation,
    Action,
    /// `/api/function`, for any kind and for admins only.
    Any,
}

/// All routes.
pub(super) fn router(shared: Arc<Shared>) -> Router {
    let route = |route: Route| {
        post(move |shared: State<Arc<Shared>>, connection: ConnectInfo<Connection>, headers: HeaderMap, body: Body| {
            answer(route, shared, connection, headers, body)
        })
    };
    Router::new()
        .route("/api/query", route(Route::Query))
        .route("/api/mutation", route(Route::Mutation))
        .route("/api/action", route(Route::Action))
        .route("/api/function", route(Route::Any))
        .route("/version", get(|| std::future::ready(VERSION)))
        .route("/instance_name", get(|| std::future::ready("convex-bench")))
        .route("/api/check_admin_key", get(check_admin_key))
        .route("/convex-bench/counters", get(counters))
        .merge(import::router())
        .with_state(shared)
}

async fn check_admin_key(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Result<Response, SystemError> {
    protocol::require_admin(shared.authorize(&headers)?)?;
    let body = json!({ "success": true, "allowedOps": [], "isReadOnly": false });
    Ok(protocol::json_response(StatusCode::OK, body.to_string()))
}

/// The counters, for a benchmark that runs in another process. Convex has no such route.
async fn counters(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Result<Response, SystemError> {
    protocol::require_admin(shared.authorize(&headers)?)?;
    let state = shared.state();
    let body = json!({ "counters": state.counters, "documents": state.store.document_counts() });
    Ok(protocol::json_response(StatusCode::OK, body.to_string()))
}

async fn answer(
    route: Route,
    State(shared): State<Arc<Shared>>,
    ConnectInfo(connection): ConnectInfo<Connection>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    match call(route, &shared, &connection, &headers, body).await {
        Ok(response) => response,
        Err(error) => error.into_response(),
    }
}

async fn call(
    route: Route,
    shared: &Shared,
    connection: &Connection,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, SystemError> {
    // The body is read before anything is refused, so that the client is there to hear it.
    let body = protocol::read_json(headers, body).await;
    let caller = shared.authorize(headers)?;
    if route == Route::Any {
        protocol::require_admin(caller)?;
    }
    let body = body?;
    let request = FunctionRequest::parse(&body)?;
    let Some(path) = FunctionPath::parse(&request.path) else {
        let message = format!("{} is not a path to a Convex function", request.path);
        return Err(SystemError::new(StatusCode::BAD_REQUEST, "BadConvexFunctionIdentifier", message));
    };
    let faults = {
        let mut state = shared.state();
        state.counters.calls += 1;
        state.counters.bytes += u64::try_from(body.len()).unwrap_or(u64::MAX);
        state.faults_of(&request.path, hash(&request.path) ^ hash(request.args.get()))
    };
    let mut running = Running { shared, path, request: &request, faults, injected: Vec::new(), record_count: 0 };
    let delay = running.delay();
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    let ending = running.run(route, caller);
    running.log(&ending);
    Ok(ending.send(shared, connection).await)
}

/// A call on its way.
struct Running<'a> {
    shared: &'a Shared,
    path: FunctionPath<'a>,
    request: &'a FunctionRequest<'a>,
    faults: Vec<Fault>,
    injected: Vec<FaultKind>,
    record_count: usize,
}

impl Running<'_> {
    /// How long the answer is held back.
    fn delay(&mut self) -> Duration {
        let mut delay = Duration::ZERO;
        for fault in &self.faults {
            if let Fault::Slow(time) = fault {
                self.injected.push(fault.kind());
                delay += *time;
            }
        }
        delay
    }

    fn run(&mut self, route: Route, caller: Caller) -> Ending {
        let path = &self.request.path;
        let missing = || protocol::function_missing(path);
        let Some(function) = Known::of(&self.path).filter(|_| caller == Caller::Admin) else {
            return self.failed(&missing());
        };
        let fault = self.faults.iter().find(|fault| fault.applies_to_every_call()).cloned();
        self.injected.extend(fault.as_ref().map(Fault::kind));
        if fault == Some(Fault::FunctionMissing) {
            return self.failed(&missing());
        }
        if let Some(ending) = Ending::before(fault.as_ref(), self.shared) {
            return ending;
        }
        match self.value(route, function, self.request.args) {
            Ok(value) => Ending::after(fault.as_ref(), protocol::success(&value)),
            Err(failure) => self.failed(&failure),
        }
    }

    /// Runs the function.
    fn value(&mut self, route: Route, function: Known, args: &RawValue) -> Result<String, Failure> {
        let FunctionPath { module, name } = self.path;
        let defined = if function.is_query() { Route::Query } else { Route::Mutation };
        if route != Route::Any && route != defined {
            let message =
                format!("Trying to execute {module}.js:{name} as {route:?}, but it is defined as {defined:?}.");
            return Err(Failure::Plain(message));
        }
        let function = match function {
            Known::Deployed(function) => function.of_declared(&self.shared.declared),
            Known::System(query) => {
                return query.run(&mut self.shared.state(), args, self.request.format);
            }
        };
        let reading = Reading {
            path: &self.request.path,
            legacy_id_field: &self.shared.legacy_id_field,
            keep_documents: self.shared.keep_documents,
        };
        let call = reading.prepare(function, args)?;
        self.record_count = call.len();
        for fault in &self.faults {
            let failure = match fault {
                Fault::BadRecord(legacy_id) if call.has_legacy_id(legacy_id) => {
                    Failure::Thrown("a value of the batch was not accepted".to_owned())
                }
                Fault::TooLarge(limit) if call.len() > *limit => limits::too_many_bytes(),
                _ => continue,
            };
            self.injected.push(fault.kind());
            return Err(failure);
        }
        let mut state = self.shared.state();
        let MutableState { store, counters, .. } = &mut *state;
        store.run(call, counters)
    }

    fn failed(&self, failure: &Failure) -> Ending {
        let request = {
            let mut state = self.shared.state();
            state.counters.function_errors += 1;
            state.counters.calls
        };
        Ending::Response(protocol::json_response(StatusCode::OK, protocol::failure(failure, self.path.module, request)))
    }

    fn log(self, ending: &Ending) {
        let committed = ending.is_committed();
        let Self { shared, request, record_count, injected, .. } = self;
        shared.log(Call { path: request.path.clone(), record_count, faults: injected, committed });
    }
}

/// A function that can be called.
enum Known {
    /// One that is understood as if it was deployed.
    Deployed(Function),
    System(SystemQuery),
}

impl Known {
    fn of(path: &FunctionPath) -> Option<Self> {
        SystemQuery::of(path).map(Self::System).or_else(|| Function::of(path).map(Self::Deployed))
    }

    fn is_query(&self) -> bool {
        match self {
            Self::Deployed(function) => function.is_query(),
            Self::System(_) => true,
        }
    }
}
