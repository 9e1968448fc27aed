//! A proxy before a Supabase project that makes requests go wrong: by a script, always, or by chance from a seed.
//!
//! It stands before the gateway of the [local stack](crate::local_stack) and speaks HTTP by hand, so that it can cut a
//! body, lie about its length and reset a connection. All that it does not damage is the real PostgREST's answer.

mod fault;
mod wire;

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    hash::{DefaultHasher, Hash as _, Hasher as _},
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use reqwest::{
    Method, StatusCode,
    header::{ACCEPT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER},
    redirect::Policy,
};
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle, task::JoinSet};

pub use self::fault::{Fault, FaultKind, RetryAfter};
pub use crate::fault_plan::InvalidFault;

use self::fault::{Damage, Effect};
use self::wire::{Answer, Connection, Request};
use crate::fault_plan::Schedule;

/// When faults of the proxy happen.
pub type FaultPlan = crate::fault_plan::FaultPlan<Fault>;

/// Pages of each table that are kept, for [`FaultKind::RepeatedPage`].
const PAGES_KEPT: usize = 3;

/// A running proxy. It stops, and ends its connections, when it is dropped.
#[derive(Debug)]
pub struct FaultProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    upstream: String,
    client: reqwest::Client,
    state: Mutex<State>,
}

/// What requests change. The lock is never held across an await.
#[derive(Debug)]
struct State {
    schedule: Schedule<Fault>,
    /// Only requests whose path and query start so meet faults.
    scope: String,
    injected: BTreeMap<FaultKind, u64>,
    requests: u64,
    key_revoked: bool,
    /// The last pages of each table, newest first.
    pages: HashMap<String, VecDeque<Vec<u8>>>,
    stops: Vec<Stop>,
}

/// Where a request is to stop.
#[derive(Debug)]
struct Stop {
    prefix: String,
    skip: usize,
    reached: oneshot::Sender<()>,
    release: oneshot::Receiver<()>,
}

/// A request that waits in the proxy, or will; it goes on when this is dropped.
#[derive(Debug)]
pub struct Held {
    reached: Option<oneshot::Receiver<()>>,
    _release: oneshot::Sender<()>,
}

impl Held {
    /// Waits until the request is there.
    ///
    /// # Errors
    /// The proxy is gone.
    pub async fn reached(&mut self) -> io::Result<()> {
        match self.reached.take() {
            Some(reached) => reached.await.map_err(|_| io::ErrorKind::BrokenPipe.into()),
            None => Ok(()),
        }
    }
}

impl FaultProxy {
    /// Starts a proxy before `upstream`, an address such as `http://127.0.0.1:54321`, on a free port of loopback.
    ///
    /// # Errors
    /// No port is free, or the HTTP client cannot be made.
    pub async fn start(upstream: &str, faults: FaultPlan) -> io::Result<Self> {
        let client = reqwest::Client::builder()
            .no_proxy()
            // The gateway may close an idle connection just as the next request goes out on it.
            .pool_max_idle_per_host(0)
            .no_gzip()
            .no_brotli()
            .redirect(Policy::none())
            .build()
            .map_err(io::Error::other)?;
        let state = State {
            schedule: Schedule::new(faults),
            scope: String::new(),
            injected: BTreeMap::new(),
            requests: 0,
            key_revoked: false,
            pages: HashMap::new(),
            stops: Vec::new(),
        };
        let upstream = upstream.trim_end_matches('/').to_owned();
        let shared = Arc::new(Shared { upstream, client, state: Mutex::new(state) });
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let server = tokio::spawn(serve(listener, Arc::clone(&shared)));
        Ok(Self { address, shared, server })
    }

    /// The address to give as the project's URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The faults that were injected so far, by kind.
    #[must_use]
    pub fn injected(&self) -> BTreeMap<FaultKind, u64> {
        self.shared.state().injected.clone()
    }

    /// The requests that came so far.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.shared.state().requests
    }

    /// Lets only requests whose path and query start with `prefix` meet faults, such as `/rest/v1/orders?select` for
    /// the rows of a table and not its counts. A script counts these alone.
    pub fn only(&self, prefix: impl Into<String>) {
        self.shared.state().scope = prefix.into();
    }

    /// Lets the requests that come next meet these faults, one each, after those that wait already.
    pub fn script(&self, faults: impl IntoIterator<Item = Option<Fault>>) {
        self.shared.state().schedule.plan.script.extend(faults);
    }

    /// Replaces the plan for faults; the default plan has none.
    pub fn set_faults(&self, plan: FaultPlan) {
        self.shared.state().schedule = Schedule::new(plan);
    }

    /// Makes the key valid again after [`FaultKind::KeyRevoked`].
    pub fn restore_key(&self) {
        self.shared.state().key_revoked = false;
    }

    /// Lets the request after the next `skip` ones that start with `prefix` wait here until what this returns is
    /// dropped.
    #[must_use]
    pub fn hold(&self, prefix: impl Into<String>, skip: usize) -> Held {
        let ((reached, is_reached), (release, is_released)) = (oneshot::channel(), oneshot::channel());
        let stop = Stop { prefix: prefix.into(), skip, reached, release: is_released };
        self.shared.state().stops.push(stop);
        Held { reached: Some(is_reached), _release: release }
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Accepts connections until this task is ended, which ends them too.
async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let (connection, shared) = (Connection::new(stream), Arc::clone(&shared));
                // What a client or a fault breaks off is over, and nobody's error.
                connections.spawn(async move { drop(shared.converse(connection).await) });
            }
            // Out of file handles, most likely: others may be closed soon.
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
        while connections.try_join_next().is_some() {}
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers the requests of one connection, in their order.
    async fn converse(&self, mut connection: Connection) -> io::Result<()> {
        while let Some(request) = connection.read().await? {
            let stop = self.state().stop(&request);
            if let Some(Stop { reached, release, .. }) = stop {
                let _ = reached.send(());
                // An error means that the request may go on.
                let _ = release.await;
            }
            let faults = self.state().faults(&request);
            for fault in faults.iter().filter(|fault| fault.kind == FaultKind::Slow) {
                self.count(fault.kind);
                tokio::time::sleep(fault.delay).await;
            }
            let fault = faults.into_iter().find(|fault| fault.kind != FaultKind::Slow);
            match fault.map(|fault| (fault, fault.kind.effect())) {
                Some((fault, Effect::Answer { status, body })) => {
                    self.count(fault.kind);
                    let answer = canned(&fault, status, body)?;
                    write_whole(&mut connection, &request, &answer).await?;
                }
                Some((fault, Effect::Reset)) => {
                    self.count(fault.kind);
                    return connection.reset();
                }
                Some((fault, Effect::Silence)) => {
                    self.count(fault.kind);
                    connection.ended().await;
                    return Ok(());
                }
                Some((fault, Effect::Damage(damage))) => {
                    let answer = self.forward(&request).await;
                    let repeated = self.state().page(&request, fault.pages_back);
                    let is_damaged = request.method == Method::GET
                        && answer.status.is_success()
                        && (damage != Damage::Repeat || repeated.is_some());
                    if !is_damaged {
                        self.answered(&mut connection, &request, &answer).await?;
                        continue;
                    }
                    self.count(fault.kind);
                    match damaged(&mut connection, &answer, damage, &repeated.unwrap_or_default()).await? {
                        End::Open => {}
                        End::Closed => return Ok(()),
                        End::Reset => return connection.reset(),
                    }
                }
                Some((_, Effect::Delay)) | None => {
                    let answer = self.forward(&request).await;
                    self.answered(&mut connection, &request, &answer).await?;
                }
            }
        }
        Ok(())
    }

    fn count(&self, kind: FaultKind) {
        *self.state().injected.entry(kind).or_default() += 1;
    }

    /// The real answer; 502 where there is none.
    async fn forward(&self, request: &Request) -> Answer {
        let url = format!("{}{}", self.upstream, request.path_and_query);
        let mut headers = request.headers.clone();
        headers.remove(ACCEPT_ENCODING);
        let sent = self.client.request(request.method.clone(), url).headers(headers).send().await;
        let whole = async {
            let response = sent?;
            let (status, headers) = (response.status(), response.headers().clone());
            Ok::<_, reqwest::Error>(Answer { status, headers, body: response.bytes().await?.into() })
        };
        whole.await.unwrap_or_else(|error| Answer {
            status: StatusCode::BAD_GATEWAY,
            headers: HeaderMap::new(),
            body: error.without_url().to_string().into_bytes(),
        })
    }

    /// Passes the real answer on, and keeps it where it is a page.
    async fn answered(&self, connection: &mut Connection, request: &Request, answer: &Answer) -> io::Result<()> {
        if answer.status.is_success() {
            self.state().keep(request, &answer.body);
        }
        write_whole(connection, request, answer).await
    }
}

/// How a connection stands after an answer.
enum End {
    Open,
    Closed,
    Reset,
}

async fn damaged(connection: &mut Connection, answer: &Answer, damage: Damage, repeated: &[u8]) -> io::Result<End> {
    let body = if damage == Damage::Repeat { repeated } else { &answer.body };
    let (half, _) = body.split_at(body.len() / 2);
    let (promised, sent, end) = match damage {
        Damage::Reset => (body.len(), half, End::Reset),
        Damage::Halve => (half.len(), half, End::Open),
        Damage::PromiseMore => (body.len() + 100, body, End::Closed),
        Damage::PromiseLess => (half.len(), body, End::Closed),
        Damage::Repeat => (body.len(), body, End::Open),
    };
    // What `Content-Range` says of the real page would give a repeated one away: a cache repeats that too.
    let mut answer = Answer { body: Vec::new(), ..answer.clone() };
    if damage == Damage::Repeat {
        answer.headers.remove("content-range");
    }
    connection.write(&[answer.head(promised).as_slice(), sent].concat()).await?;
    Ok(end)
}

async fn write_whole(connection: &mut Connection, request: &Request, answer: &Answer) -> io::Result<()> {
    let body: &[u8] = if request.method == Method::HEAD { &[] } else { &answer.body };
    connection.write(&[answer.head(answer.body.len()).as_slice(), body].concat()).await
}

/// The answer that a fault has ready.
fn canned(fault: &Fault, status: u16, body: &str) -> io::Result<Answer> {
    let content_type = if body.starts_with('<') { "text/html" } else { "application/json; charset=utf-8" };
    let mut headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(content_type))]);
    if let Some(retry_after) = fault.retry_after {
        let text = match retry_after {
            RetryAfter::Seconds(seconds) => seconds.to_string(),
            RetryAfter::Date(seconds) => httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(seconds)),
        };
        headers.insert(RETRY_AFTER, HeaderValue::from_str(&text).map_err(io::Error::other)?);
    }
    let status = StatusCode::from_u16(status).map_err(io::Error::other)?;
    Ok(Answer { status, headers, body: body.as_bytes().to_vec() })
}

/// The table of a request for a page, which is the one that has an order.
fn table_of_page(request: &Request) -> Option<&str> {
    let (path, query) = request.path_and_query.split_once('?')?;
    query.split('&').any(|parameter| parameter.starts_with("order=")).then_some(path)
}

impl State {
    /// Where this request stops, which is used up by this.
    fn stop(&mut self, request: &Request) -> Option<Stop> {
        let matching = |stop: &Stop| request.path_and_query.starts_with(&stop.prefix);
        let position = self.stops.iter().position(|stop| matching(stop) && stop.skip == 0);
        for stop in self.stops.iter_mut().filter(|stop| matching(stop)) {
            stop.skip = stop.skip.saturating_sub(1);
        }
        position.map(|position| self.stops.remove(position))
    }

    /// The faults of this request.
    fn faults(&mut self, request: &Request) -> Vec<Fault> {
        self.requests += 1;
        if self.key_revoked {
            return vec![FaultKind::KeyRevoked.into()];
        }
        if !request.path_and_query.starts_with(&self.scope) {
            return Vec::new();
        }
        let mut hasher = DefaultHasher::new();
        (request.method.as_str(), &request.path_and_query).hash(&mut hasher);
        let faults = self.schedule.next(hasher.finish());
        self.key_revoked = faults.iter().any(|fault| fault.kind == FaultKind::KeyRevoked);
        faults
    }

    fn keep(&mut self, request: &Request, body: &[u8]) {
        let Some(table) = table_of_page(request) else { return };
        let pages = self.pages.entry(table.to_owned()).or_default();
        pages.push_front(body.to_vec());
        pages.truncate(PAGES_KEPT);
    }

    fn page(&self, request: &Request, pages_back: usize) -> Option<Vec<u8>> {
        self.pages.get(table_of_page(request)?)?.get(pages_back.checked_sub(1)?).cloned()
    }
}
