//! A forward proxy as companies have them: strict about what it is asked, and the only one who knows where providers are.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{
    AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, copy_bidirectional,
};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use crate::certificates::Identity;

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
    authorization: Option<String>,
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
        Self::on(None, Some(identity.acceptor())).await
    }

    async fn on(authorization: Option<String>, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("loopback has a free port");
        let port = listener.local_addr().expect("a bound socket has an address").port();
        let state = Arc::new(State { authorization, ..State::default() });
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

/// One request: a tunnel, or one that is passed on.
async fn serve<W: AsyncRead + AsyncWrite + Unpin>(client: W, state: &State) -> io::Result<()> {
    let mut client = BufReader::new(client);
    let head = head(&mut client).await?;
    let refusal = lock(&state.refusal).clone();
    let (status, upstream) = match refusal {
        Some(status) => (status, None),
        None => judge(&head, state).await,
    };
    let Some((mut upstream, first)) = upstream else {
        let challenge =
            if status.starts_with("407") { "proxy-authenticate: Basic realm=\"proxy\"\r\n" } else { "" };
        let answer = format!("HTTP/1.1 {status}\r\n{challenge}content-length: 7\r\n\r\nrefused");
        client.write_all(answer.as_bytes()).await?;
        return client.shutdown().await;
    };
    match first {
        None => client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?,
        Some(first) => upstream.write_all(first.as_bytes()).await?,
    }
    // Nothing that came with the head is lost: the reader still has it.
    copy_bidirectional(&mut client, &mut upstream).await.map(drop)
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

/// Where a request leads and what is said there first, or why it leads nowhere.
async fn judge(head: &[String], state: &State) -> (String, Option<(TcpStream, Option<String>)>) {
    let refused = |status: &str| (status.to_owned(), None);
    let line = head.first().map(String::as_str).unwrap_or_default();
    let Some((asked, "HTTP/1.1")) = line.rsplit_once(' ') else { return refused("400 Bad Request") };
    lock(&state.asked).push(asked.to_owned());
    if state.authorization.as_deref() != header(head, "proxy-authorization") {
        return refused("407 Proxy Authentication Required");
    }
    let Some((method, target)) = asked.split_once(' ') else { return refused("400 Bad Request") };
    let (place, first) = match target.strip_prefix("http://") {
        _ if method == "CONNECT" => (target.to_owned(), None),
        Some(url) => {
            let (place, path) = url.split_at(url.find('/').unwrap_or(url.len()));
            (with_port(place), Some(passed_on(method, path, head)))
        }
        None => return refused("400 Bad Request"),
    };
    // A request must name in its Host what it asks for.
    if header(head, "host").map(|host| if method == "CONNECT" { host.to_owned() } else { with_port(host) })
        != Some(place.clone())
    {
        return refused("400 Bad Request");
    }
    let port = lock(&state.names).get(&place).copied();
    match port {
        Some(port) => match TcpStream::connect(("127.0.0.1", port)).await {
            Ok(upstream) => ("200 OK".to_owned(), Some((upstream, first))),
            Err(_) => refused("502 Bad Gateway"),
        },
        None => refused("502 Bad Gateway"),
    }
}

fn with_port(place: &str) -> String {
    if place.contains(':') { place.to_owned() } else { format!("{place}:80") }
}

/// The head for the provider: its own path, nothing of the proxy's, and one request for each connection.
fn passed_on(method: &str, path: &str, head: &[String]) -> String {
    let own = |line: &&String| {
        let name = line.split(':').next().unwrap_or_default().to_ascii_lowercase();
        name != "connection" && !name.starts_with("proxy-")
    };
    let headers: String = head.iter().skip(1).filter(own).map(|line| format!("{line}\r\n")).collect();
    format!("{method} {path} HTTP/1.1\r\n{headers}connection: close\r\n\r\n")
}

fn header<'h>(head: &'h [String], name: &str) -> Option<&'h str> {
    head.iter().skip(1).find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}
