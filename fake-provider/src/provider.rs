//! The listener: many deployments, by the first segment of the path, each with a script.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::io::BufReader;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
#[cfg(feature = "tls")]
use tokio_rustls::TlsAcceptor;

use crate::answer::{Answer, Body};
use crate::decision::Decision;
use crate::openai::stored::Stored;
use crate::received::Received;
use crate::wire::{self, Performed, Wire};

/// A provider on a port of loopback. Ends with the value.
#[derive(Debug)]
pub struct Provider {
    port: u16,
    scheme: &'static str,
    state: Arc<State>,
    listening: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct State {
    scripts: Mutex<HashMap<String, Script>>,
    received: Mutex<Vec<Received>>,
    requests: AtomicU64,
    connections: AtomicU64,
    open: AtomicUsize,
    abandoned: AtomicUsize,
    loads: Mutex<HashMap<String, Load>>,
    stored: Mutex<Stored>,
    /// Takes the place of the scripts.
    decision: Option<Decision>,
    silent: bool,
}

/// Requests that a deployment is at work on.
#[derive(Clone, Copy, Debug, Default)]
struct Load {
    now: usize,
    most: usize,
}

/// What a deployment does next, and what it does when that is done.
#[derive(Debug, Default)]
struct Script {
    next: VecDeque<Answer>,
    always: Option<Answer>,
}

/// What requests arrive on.
#[derive(Clone)]
enum Transport {
    Tcp,
    #[cfg(feature = "tls")]
    Tls(TlsAcceptor),
}

impl Transport {
    fn scheme(&self) -> &'static str {
        match self {
            Self::Tcp => "http",
            #[cfg(feature = "tls")]
            Self::Tls(_) => "https",
        }
    }
}

impl Provider {
    /// On a port of its own, plain HTTP.
    pub async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("loopback has a free port");
        Self::on(listener, Transport::Tcp, State::default())
    }

    /// The same behind TLS.
    #[cfg(feature = "tls")]
    pub async fn start_tls(acceptor: impl Into<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("loopback has a free port");
        Self::on(listener, Transport::Tls(acceptor.into()), State::default())
    }

    /// On a given address, doing the same for every deployment and keeping no record: for running
    /// by hand.
    pub async fn serve(address: SocketAddr, answer: Answer) -> io::Result<Self> {
        let state = State { silent: true, ..State::default() };
        state.scripts().insert(String::new(), Script { next: VecDeque::new(), always: Some(answer) });
        Ok(Self::on(TcpListener::bind(address).await?, Transport::Tcp, state))
    }

    /// On a port of its own, with an answer that is decided for each request. Keeps no record.
    pub async fn deciding(decide: impl Fn(&Received) -> Answer + Send + Sync + 'static) -> Self {
        let state = State { silent: true, decision: Some(Decision::new(decide)), ..State::default() };
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("loopback has a free port");
        Self::on(listener, Transport::Tcp, state)
    }

    fn on(listener: TcpListener, transport: Transport, state: State) -> Self {
        let port = listener.local_addr().expect("a bound socket has an address").port();
        let scheme = transport.scheme();
        let state = Arc::new(state);
        let listening = tokio::spawn(accept(listener, transport, Arc::clone(&state)));
        Self { port, scheme, state, listening }
    }

    /// `http://127.0.0.1:20123`, to which a test adds `/paris/v1`.
    pub fn origin(&self) -> String {
        format!("{}://127.0.0.1:{}", self.scheme, self.port)
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What the deployment does with its next requests; after that, what it always does.
    pub fn script(&self, name: &str, answers: impl IntoIterator<Item = Answer>) {
        self.state.scripts().entry(name.to_owned()).or_default().next = answers.into_iter().collect();
    }

    /// What the deployment does when its script is at its end: [`Answer::ok`] by default.
    pub fn always(&self, name: &str, answer: Answer) {
        self.state.scripts().entry(name.to_owned()).or_default().always = Some(answer);
    }

    /// Every request so far, in the order of arrival.
    pub fn received(&self) -> Vec<Received> {
        self.state.received().clone()
    }

    /// The names of the deployments, in the order they were called.
    pub fn calls(&self) -> Vec<String> {
        self.state.received().iter().map(|request| request.name.clone()).collect()
    }

    /// The requests to one deployment.
    pub fn received_by(&self, name: &str) -> Vec<Received> {
        self.state.received().iter().filter(|request| request.name == name).cloned().collect()
    }

    /// The only request so far.
    pub fn only_request(&self) -> Received {
        let mut received = self.received();
        assert_eq!(received.len(), 1, "requests seen: {:?}", self.calls());
        received.remove(0)
    }

    /// How many requests it has had, also of those it keeps no record of.
    pub fn count(&self) -> u64 {
        self.state.requests.load(Ordering::Relaxed)
    }

    /// Forgets the requests so far.
    pub fn forget(&self) {
        self.state.received().clear();
    }

    /// The most requests that the deployment was at work on at the same time.
    pub fn most_at_once(&self, name: &str) -> usize {
        self.state.loads().get(name).map_or(0, |load| load.most)
    }

    /// Connections accepted so far.
    pub fn connections(&self) -> u64 {
        self.state.connections.load(Ordering::Relaxed)
    }

    /// Connections open now.
    pub fn open_connections(&self) -> usize {
        self.state.open.load(Ordering::Relaxed)
    }

    /// Answers whose client went away before the end.
    pub fn abandoned(&self) -> usize {
        self.state.abandoned.load(Ordering::Relaxed)
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

impl State {
    fn scripts(&self) -> MutexGuard<'_, HashMap<String, Script>> {
        self.scripts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn received(&self) -> MutexGuard<'_, Vec<Received>> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn loads(&self) -> MutexGuard<'_, HashMap<String, Load>> {
        self.loads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, name: &str) {
        let mut loads = self.loads();
        let load = loads.entry(name.to_owned()).or_default();
        load.now += 1;
        load.most = load.most.max(load.now);
    }

    fn end(&self, name: &str) {
        if let Some(load) = self.loads().get_mut(name) {
            load.now -= 1;
        }
    }

    fn next(&self, name: &str) -> Answer {
        let mut scripts = self.scripts();
        let fallback = scripts.get("").and_then(|script| script.always.clone());
        let script = scripts.get_mut(name);
        let told = script.and_then(|script| script.next.pop_front().or_else(|| script.always.clone()));
        told.or(fallback).unwrap_or_else(Answer::ok)
    }

    /// What the script says; in an ordinary answer by what the deployment has stored.
    fn answer(&self, request: &Received) -> Answer {
        if let Some(decision) = &self.decision {
            return decision.answer(request);
        }
        let next = self.next(&request.name);
        if self.silent || next.status != 200 || !matches!(next.body, Body::OfTheRoute { .. }) {
            return next;
        }
        let mut stored = self.stored.lock().unwrap_or_else(PoisonError::into_inner);
        let by_what_is_stored = stored.answer(request, next.usage);
        match by_what_is_stored {
            Some(answer) => Answer { before_headers: next.before_headers, ..answer },
            None => next,
        }
    }

    fn keep(&self, request: &Received) {
        if !self.silent {
            self.received().push(request.clone());
        }
    }
}

async fn accept(listener: TcpListener, transport: Transport, state: Arc<State>) {
    while let Ok((socket, _)) = listener.accept().await {
        let connection = state.connections.fetch_add(1, Ordering::Relaxed) + 1;
        tokio::spawn(connected(socket, transport.clone(), Arc::clone(&state), connection));
    }
}

async fn connected(socket: TcpStream, transport: Transport, state: Arc<State>, connection: u64) {
    state.open.fetch_add(1, Ordering::Relaxed);
    // Without this, Nagle and delayed acknowledgements would blur the timing of events.
    let _ = socket.set_nodelay(true);
    let _ = match transport {
        Transport::Tcp => converse(socket, &state, connection, None).await,
        #[cfg(feature = "tls")]
        Transport::Tls(acceptor) => match acceptor.accept(socket).await {
            Ok(wire) => {
                let sni = wire.get_ref().1.server_name().map(str::to_owned);
                converse(wire, &state, connection, sni).await
            }
            Err(refused) => Err(refused),
        },
    };
    state.open.fetch_sub(1, Ordering::Relaxed);
}

/// Request and answer in turn, until one side has had enough.
async fn converse<W: Wire>(wire: W, state: &State, connection: u64, sni: Option<String>) -> io::Result<()> {
    let mut wire = BufReader::new(wire);
    let mut is_kept = false;
    while let Some(mut request) = wire::read(&mut wire).await? {
        request.connection = connection;
        request.sni.clone_from(&sni);
        request.number = state.requests.fetch_add(1, Ordering::Relaxed) + 1;
        state.keep(&request);
        let answer = state.answer(&request);
        state.begin(&request.name);
        let performed = match answer.on_kept_connections.filter(|_| is_kept) {
            Some(how) => wire::end(&mut wire, how).await,
            None => wire::perform(&mut wire, &answer, &request).await,
        };
        is_kept = true;
        state.end(&request.name);
        match performed {
            Ok(Performed::Whole) => {}
            Ok(Performed::Broken) => break,
            Ok(Performed::Abandoned) | Err(_) => {
                state.abandoned.fetch_add(1, Ordering::Relaxed);
                break;
            }
        }
    }
    Ok(())
}
