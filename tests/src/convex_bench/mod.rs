//! convex-bench: a stand-in for a Convex deployment that runs no JavaScript.
//!
//! It speaks Convex's HTTP functions API and understands the generated migration functions by their names alone, so that
//! runs of a million rows cost little. It validates no schema: what a value must look like is tested against the stand-in
//! that runs the generated code. What it adds is faults: every answer that a client may get instead of the right one can
//! be asked for, once, always or by chance.
//!
//! # Functions
//! | path | arguments | value |
//! |---|---|---|
//! | `<module>:bulkInsert<Table>` (mutation) | `{records: [{…fields…, supabaseId}]}` | `[{id, outcome}]` in the order of the records |
//! | `<module>:patch<Table>` (mutation) | `{records: [{documentId, fields}]}` | the same |
//! | `<module>:lookup` (query) | `{table, index, keys: [[…], …]}` | for each key the ids that match, two at most |
//!
//! Beside them are the queries that imports need: `_system/frontend/getTableMapping`, `_system/cli/tables`,
//! `_system/cli/tableSize`, `_system/cli/queryImport` and `_system/cli/queryImport:list`; and `_system/cli/tableData`
//! for a verification, where documents are kept.
//!
//! `outcome` is `inserted`, `updated` or `unchanged`. The table of `bulkInsertAriPayments` is `ariPayments`. An upsert
//! sets the record's fields, takes away those that earlier upserts of the table gave and this one lacks, and leaves all
//! others alone. A patch of a document that does not exist throws a `ConvexError` whose data have the code
//! `document_missing`.
//!
//! # Imports
//! `/api/import/start_upload`, `upload_part` and `finish_upload`, `/api/perform_import` and `/api/cancel_import` take ZIP
//! archives by Convex's rules: see `import`. Parts must come in order and be of 5 MiB but for the last one.
//!
//! Without [`ConvexBenchOptions::keep_documents`] only hashes are kept, and `unchanged` means that the text of the record
//! is the same as in the last call that named it; the first one that names an imported document counts as a change.

mod connection;
mod counters;
mod document_id;
mod ending;
mod fault;
mod functions;
mod import;
mod kept;
mod limits;
mod listing;
mod protocol;
mod server;
mod store;
mod system;

use std::{
    collections::BTreeMap,
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
};

use serde_json::{Map, Value};
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};

pub use crate::fault_plan::InvalidFault;
pub use counters::{Call, Counters};
pub use document_id::{DocumentId, InvalidId};
pub use fault::{Fault, FaultKind};
pub use import::{ForeignImport, ImportOptions};

use crate::fault_plan::Schedule;
use crate::recent::Recent;
use connection::{Connection, CuttableListener};
use import::Imports;
use server::{MutableState, Shared};
use store::{Store, StoreOptions};

/// When faults of convex-bench happen.
pub type FaultPlan = crate::fault_plan::FaultPlan<Fault>;

/// How to start a [`ConvexBench`].
#[derive(Debug, Clone, PartialEq)]
pub struct ConvexBenchOptions {
    /// The port on the loopback interface; 0 takes a free one.
    pub port: u16,
    /// The key that `Authorization: Convex <key>` must carry.
    pub admin_key: String,
    /// Whether documents are kept as they were sent, for [`ConvexBench::documents`]; otherwise their hashes are.
    pub keep_documents: bool,
    /// The field that tells an upsert whether a document exists.
    pub legacy_id_field: String,
    /// The fields of every index that `lookup` may name, by the name of the index or, where tables disagree, by
    /// `table.index`.
    pub indexes: BTreeMap<String, Vec<String>>,
    /// Ids differ between servers with different seeds, as they do between deployments. With the same seed, a table's
    /// place in the order of first use and a record's legacy id determine its id.
    pub id_seed: u64,
    /// The day in every id, counted from 1970-01-01.
    pub day: u16,
    /// When faults happen.
    pub faults: FaultPlan,
    /// Tables that are there from the start, as those of a deployed schema are: their numbers follow their names.
    pub tables: Vec<String>,
    /// How imports are taken.
    pub imports: ImportOptions,
}

impl Default for ConvexBenchOptions {
    fn default() -> Self {
        Self {
            port: 0,
            admin_key: "convex-bench|0123456789abcdef".to_owned(),
            keep_documents: false,
            legacy_id_field: "supabaseId".to_owned(),
            indexes: BTreeMap::new(),
            id_seed: 0,
            day: 20_454,
            faults: FaultPlan::default(),
            tables: Vec::new(),
            imports: ImportOptions::default(),
        }
    }
}

/// A running server. It stops when it is dropped.
#[derive(Debug)]
pub struct ConvexBench {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    server: JoinHandle<io::Result<()>>,
}

impl ConvexBench {
    /// Starts a server on the loopback interface. It answers as soon as this returns.
    pub async fn start(options: ConvexBenchOptions) -> io::Result<Self> {
        let ConvexBenchOptions { port, admin_key, keep_documents, legacy_id_field, indexes, id_seed, day, .. } =
            options;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let address = listener.local_addr()?;
        let (stop, stopping) = watch::channel(false);
        let mut store = Store::new(StoreOptions { legacy_id_field: legacy_id_field.clone(), id_seed, day, indexes });
        store.declare(&options.tables);
        let state = MutableState {
            store,
            schedule: Schedule::new(options.faults),
            counters: Counters::default(),
            calls: Recent::default(),
            imports: Imports::default(),
            faulty_path: String::new(),
        };
        let shared = Arc::new(Shared {
            admin_key,
            legacy_id_field,
            keep_documents,
            key_revoked: AtomicBool::new(false),
            state: Mutex::new(state),
            stopping: stopping.clone(),
            import_options: options.imports,
            declared: options.tables,
            worker: Arc::default(),
            imports_held: watch::Sender::new(false),
        });
        let service = server::router(Arc::clone(&shared)).into_make_service_with_connect_info::<Connection>();
        let mut stopped = stopping;
        let serve = axum::serve(CuttableListener(listener), service).with_graceful_shutdown(async move {
            // An error means that the handle is gone, which is a wish to stop as well.
            let _ = stopped.wait_for(|stopped| *stopped).await;
        });
        let server = tokio::spawn(serve.into_future());
        Ok(Self { address, shared, stop, server })
    }

    /// The deployment's URL, without a slash at its end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The admin key.
    #[must_use]
    pub fn admin_key(&self) -> &str {
        &self.shared.admin_key
    }

    /// Sums over all calls so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.state().counters.clone()
    }

    /// The faults that were injected so far, by kind.
    #[must_use]
    pub fn injected(&self) -> BTreeMap<FaultKind, u64> {
        self.state().counters.faults.clone()
    }

    /// The last 10,000 calls of functions, in the order in which they ended.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.state().calls.iter().cloned().collect()
    }

    /// Puts a document in as if the application had written it, and returns its id. It is kept and found by `lookup`
    /// whatever the options say. A second one with the same legacy id replaces the first.
    #[expect(clippy::must_use_candidate, reason = "many callers only want the document to be there")]
    pub fn seed_document(&self, table: &str, fields: Map<String, Value>) -> String {
        self.state().store.seed(table, fields)
    }

    /// The documents of a table in the order of their creation, with `_id` and `_creationTime`: those that were seeded
    /// and, with [`ConvexBenchOptions::keep_documents`], all others.
    #[must_use]
    pub fn documents(&self, table: &str) -> Vec<Value> {
        self.state().store.documents(table)
    }

    /// The number of documents of each table.
    #[must_use]
    pub fn document_counts(&self) -> BTreeMap<String, usize> {
        self.state().store.document_counts()
    }

    /// The id of the document with this legacy id.
    #[must_use]
    pub fn id_of(&self, table: &str, legacy_id: &str) -> Option<String> {
        self.state().store.id_of(table, legacy_id)
    }

    /// Lets the calls that come next meet these faults, one each, after those that wait already.
    pub fn script(&self, faults: impl IntoIterator<Item = Option<Fault>>) {
        self.state().schedule.plan.script.extend(faults);
    }

    /// Lets every call from now on meet this fault.
    pub fn add_standing_fault(&self, fault: Fault) {
        self.state().schedule.plan.standing.push(fault);
    }

    /// Replaces the plan for faults; the default plan has none.
    pub fn set_faults(&self, plan: FaultPlan) {
        self.state().schedule = Schedule::new(plan);
    }

    /// Lets faults, and what is scripted of them, meet only calls whose path begins so: the path of a function, or
    /// that of a route for imports.
    pub fn faults_only_on(&self, path: &str) {
        path.clone_into(&mut self.state().faulty_path);
    }

    /// Begins an import of somebody else. Other imports wait until it is dropped.
    pub async fn foreign_import(&self) -> ForeignImport {
        ForeignImport::begin(Arc::clone(&self.shared)).await
    }

    /// Keeps imports that are in progress from coming to their end, or lets them.
    pub fn hold_imports(&self, held: bool) {
        self.shared.imports_held.send_replace(held);
    }

    /// Makes the admin key valid again after [`Fault::KeyRevoked`].
    pub fn restore_admin_key(&self) {
        self.shared.key_revoked.store(false, Ordering::SeqCst);
    }

    /// Stops the server, ends calls that hang, and waits until every connection is closed.
    pub async fn shutdown(mut self) -> io::Result<()> {
        let _ = self.stop.send(true);
        (&mut self.server).await?
    }

    fn state(&self) -> MutexGuard<'_, MutableState> {
        self.shared.state()
    }
}

impl Drop for ConvexBench {
    fn drop(&mut self) {
        let _ = self.stop.send(true);
    }
}
