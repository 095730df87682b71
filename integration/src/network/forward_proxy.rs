//! A forward proxy as companies have them: strict about what it is asked, and the only one who
//! knows where providers are.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{
    AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, copy, copy_bidirectional,
};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use crate::network::certificates::Identity;

/// A proxy on a port of loopback. Ends with the value.
#[derive(Debug)]
pub struct ForwardProxy {
    port: u16,
    state: Arc<State>,
    listening: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct State {
    /// `proxy-authorization` as it has to be.
    authorization: Mutex<Option<String>>,
    names: Mutex<HashMap<String, u16>>,
    asked: Mutex<Vec<String>>,
    refusal: Mutex<Option<String>>,
}

impl ForwardProxy {
    /// For everybody.
    pub async fn start() -> Self {
        Self::on(None, None).await
    }

    /// For those who send this `proxy-authorization`.
    pub async fn guarded(authorization: &str) -> Self {
        Self::on(Some(authorization.to_owned()), None).await
    }

    /// Itself inside of TLS.
    pub async fn start_tls(identity: &Identity) -> Self {
        Self::on(None, Some(identity.into())).await
    }

    async fn on(authorization: Option<String>, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("loopback has a free port");
        let port = listener.local_addr().expect("a bound socket has an address").port();
        let state = Arc::new(State { authorization: Mutex::new(authorization), ..State::default() });
        let listening = tokio::spawn(accept(listener, tls, Arc::clone(&state)));
        Self { port, state, listening }
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `provider.invalid:443` is this port of loopback: no other name leads anywhere.
    pub fn knows(&self, name: &str, port: u16) {
        lock(&self.state.names).insert(name.to_owned(), port);
    }

    /// Demands this `proxy-authorization` from now on.
    pub fn expects(&self, authorization: &str) {
        *lock(&self.state.authorization) = Some(authorization.to_owned());
    }

    /// Answers everything with this status line, `502 Bad Gateway`, from now on.
    pub fn refuses(&self, status: &str) {
        *lock(&self.state.refusal) = Some(status.to_owned());
    }

    /// Does its work again.
    pub fn relents(&self) {
        *lock(&self.state.refusal) = None;
    }

    /// The request lines so far, without their version: `CONNECT provider.invalid:443`.
    pub fn asked(&self) -> Vec<String> {
        lock(&self.state.asked).clone()
    }
}

impl Drop for ForwardProxy {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, state: Arc<State>) {
    while let Ok((socket, _)) = listener.accept().await {
        let _ = socket.set_nodelay(true);
        let (tls, state) = (tls.clone(), Arc::clone(&state));
        tokio::spawn(async move {
            match tls {
                None => serve(socket, &state).await,
                Some(tls) => serve(tls.accept(socket).await?, &state).await,
            }
        });
    }
}

/// A tunnel, or requests that are passed on to one place.
async fn serve<W: AsyncRead + AsyncWrite + Unpin>(client: W, state: &State) -> io::Result<()> {
    let mut client = BufReader::new(client);
    let head = head(&mut client).await?;
    let way = match lock(&state.refusal).clone() {
        Some(status) => Way::Refused(status),
        None => judge(&head, state),
    };
    let connected = match &way {
        Way::Tunnel(port) | Way::Request(port, _) => TcpStream::connect(("127.0.0.1", *port)).await,
        Way::Refused(_) => Err(io::ErrorKind::NotConnected.into()),
    };
    match (way, connected) {
        (Way::Tunnel(_), Ok(mut upstream)) => {
            client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
            copy_bidirectional(&mut client, &mut upstream).await.map(drop)
        }
        (Way::Request(port, first), Ok(upstream)) => pass_on(client, upstream, port, first, state).await,
        (Way::Refused(status), _) => refuse(&mut client, &status).await,
        (_, Err(_)) => refuse(&mut client, "502 Bad Gateway").await,
    }
}

async fn refuse<W: AsyncWrite + Unpin>(client: &mut W, status: &str) -> io::Result<()> {
    let guarded = status.starts_with("407");
    let challenge = if guarded { "proxy-authenticate: Basic realm=\"proxy\"\r\n" } else { "" };
    let answer = format!("HTTP/1.1 {status}\r\n{challenge}content-length: 7\r\n\r\nrefused");
    client.write_all(answer.as_bytes()).await?;
    client.shutdown().await
}

/// This request and those that follow it on the connection, each with a body of a known length.
async fn pass_on<W: AsyncRead + AsyncWrite + Unpin>(
    client: BufReader<W>,
    upstream: TcpStream,
    port: u16,
    first: Passed,
    state: &State,
) -> io::Result<()> {
    let (reader, mut to_client) = tokio::io::split(client);
    let mut from_client = BufReader::new(reader);
    let (mut from_upstream, mut to_upstream) = upstream.into_split();
    let requests = async {
        let mut request = first;
        loop {
            to_upstream.write_all(request.head.as_bytes()).await?;
            copy(&mut (&mut from_client).take(request.length), &mut to_upstream).await?;
            request = match judge(&head(&mut from_client).await?, state) {
                Way::Request(same, request) if same == port => request,
                _ => return Err(io::ErrorKind::InvalidData.into()),
            };
        }
    };
    tokio::select! {
        ended = requests => ended,
        ended = copy(&mut from_upstream, &mut to_client) => ended.map(drop),
    }
}

async fn head<W: AsyncRead + Unpin>(client: &mut BufReader<W>) -> io::Result<Vec<String>> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if client.take(16 * 1024).read_line(&mut line).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match line.trim_end() {
            "" => return Ok(lines),
            line => lines.push(line.to_owned()),
        }
    }
}

/// What becomes of a request.
enum Way {
    /// The port that the tunnel leads to.
    Tunnel(u16),
    /// The port that it is passed on to, and as what.
    Request(u16, Passed),
    /// The status of the answer.
    Refused(String),
}

/// A request as the provider gets it.
struct Passed {
    head: String,
    length: u64,
}

fn judge(head: &[String], state: &State) -> Way {
    let refused = |status: &str| Way::Refused(status.to_owned());
    let line = head.first().map(String::as_str).unwrap_or_default();
    let Some((asked, "HTTP/1.1")) = line.rsplit_once(' ') else { return refused("400 Bad Request") };
    lock(&state.asked).push(asked.to_owned());
    if lock(&state.authorization).as_deref() != header(head, "proxy-authorization") {
        return refused("407 Proxy Authentication Required");
    }
    let Some((method, target)) = asked.split_once(' ') else { return refused("400 Bad Request") };
    let (place, host) = match (method, target.strip_prefix("http://")) {
        ("CONNECT", None) => (target.to_owned(), header(head, "host").map(str::to_owned)),
        (_, Some(url)) => {
            (with_port(url.split('/').next().unwrap_or_default()), header(head, "host").map(with_port))
        }
        _ => return refused("400 Bad Request"),
    };
    // A request must name in its Host what it asks for.
    if host.as_ref() != Some(&place) {
        return refused("400 Bad Request");
    }
    let known = lock(&state.names).get(&place).copied();
    match known {
        None => refused("502 Bad Gateway"),
        Some(port) if method == "CONNECT" => Way::Tunnel(port),
        Some(port) => match header(head, "content-length").and_then(|length| length.parse().ok()) {
            Some(length) => Way::Request(port, Passed { head: passed_on(method, target, head), length }),
            None => refused("411 Length Required"),
        },
    }
}

fn with_port(place: &str) -> String {
    if place.contains(':') { place.to_owned() } else { format!("{place}:80") }
}

/// The head for the provider: its own path, and nothing of the proxy's.
fn passed_on(method: &str, url: &str, head: &[String]) -> String {
    let path = url.splitn(4, '/').nth(3).unwrap_or_default();
    let own = |line: &&String| !line.to_ascii_lowercase().starts_with("proxy-");
    let headers: String = head.iter().skip(1).filter(own).map(|line| format!("{line}\r\n")).collect();
    format!("{method} /{path} HTTP/1.1\r\n{headers}\r\n")
}

fn header<'h>(head: &'h [String], name: &str) -> Option<&'h str> {
    head.iter().skip(1).find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}
