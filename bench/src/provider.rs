//! The provider: an Envoy for chat completions, threads of this process for streams.

use std::error::Error;
use std::io::{BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};
use std::{io, thread};

use serde_json::{Value, json};

use crate::http;
use crate::process::Process;

/// Where the provider listens: three deployments, or three workers of a peer.
pub const ADDRESSES: [&str; 3] = ["127.0.0.1", "127.0.0.2", "127.0.0.3"];

/// Events with content in a stream.
pub const CHUNKS: u64 = 300;
/// Between two of them.
const PAUSE: Duration = Duration::from_millis(2);
/// How long a stream may go on after its client has left.
const DRAIN: Duration = Duration::from_secs(10);

/// What the provider has seen since it started.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    pub connections: u64,
    /// Events sent, of streams.
    pub chunks: u64,
}

/// A running provider.
#[derive(Debug)]
pub enum Provider {
    /// Answers with a chat completion.
    Envoy { port: u16, admin_port: u16, _process: Process },
    /// Answers with a stream.
    Threads { port: u16, counts: Arc<Counts> },
}

#[derive(Debug, Default)]
pub struct Counts {
    connections: AtomicU64,
    chunks: AtomicU64,
    open: AtomicU64,
}

impl Provider {
    /// One that streams, in threads on the processors of this one.
    pub fn streaming(port: u16) -> Result<Self, Box<dyn Error>> {
        let counts = Arc::new(Counts::default());
        for ip in ADDRESSES {
            let listener = TcpListener::bind((ip, port))?;
            let counts = Arc::clone(&counts);
            thread::spawn(move || accept(&listener, &counts));
        }
        Ok(Self::Threads { port, counts })
    }

    pub fn port(&self) -> u16 {
        match self {
            Self::Envoy { port, .. } | Self::Threads { port, .. } => *port,
        }
    }

    pub fn seen(&self) -> Result<Seen, Box<dyn Error>> {
        match self {
            Self::Threads { counts, .. } => Ok(Seen {
                connections: counts.connections.load(Relaxed),
                chunks: counts.chunks.load(Relaxed),
            }),
            Self::Envoy { admin_port, .. } => {
                let statistics = http::get(*admin_port, "/stats?filter=http.bench.downstream_cx_total")?;
                let connections = statistics.trim().rsplit(' ').next().and_then(|number| number.parse().ok());
                let connections = connections.ok_or("the provider does not count connections")?;
                Ok(Seen { connections, chunks: 0 })
            }
        }
    }

    /// Waits until the streams of clients that have left are over.
    pub fn drain(&self) {
        let started = Instant::now();
        if let Self::Threads { counts, .. } = self {
            while counts.open.load(Relaxed) > 0 && started.elapsed() < DRAIN {
                thread::sleep(Duration::from_millis(20));
            }
        }
    }
}

/// The answer to a chat request, about 1 KB.
pub fn completion() -> String {
    let message = json!({"role": "assistant", "content": "hello ".repeat(120)});
    json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1_700_000_000, "model": "gpt-3.5-turbo-0125",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 20, "completion_tokens": 120, "total_tokens": 140},
    })
    .to_string()
}

fn accept(listener: &TcpListener, counts: &Arc<Counts>) {
    for connection in listener.incoming().flatten() {
        counts.connections.fetch_add(1, Relaxed);
        let counts = Arc::clone(counts);
        // Ends with the connection, however it ends.
        thread::spawn(move || serve(connection, &counts));
    }
}

fn serve(connection: TcpStream, counts: &Counts) -> io::Result<()> {
    connection.set_nodelay(true)?;
    let mut requests = BufReader::new(connection.try_clone()?);
    while let Some(request) = http::read_request(&mut requests)? {
        if request.is_stream() {
            counts.open.fetch_add(1, Relaxed);
            let sent = stream(&connection, request.wants_usage(), &counts.chunks);
            counts.open.fetch_sub(1, Relaxed);
            sent?;
        } else {
            let body = completion();
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
                body.len()
            );
            (&connection).write_all((head + &body).as_bytes())?;
        }
    }
    Ok(())
}

/// A stream at a steady pace: each event is sent at its time, counted from the first.
fn stream(mut connection: &TcpStream, usage: bool, chunks: &AtomicU64) -> io::Result<()> {
    connection.write_all(
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n",
    )?;
    let (chunk, last) = (content(), last(usage));
    let mut due = Instant::now();
    for _ in 0..CHUNKS {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        connection.write_all(chunk.as_bytes())?;
        chunks.fetch_add(1, Relaxed);
        due += PAUSE;
    }
    connection.write_all(last.as_bytes())
}

fn content() -> String {
    event(&json!([{"index": 0, "delta": {"content": "hello "}, "finish_reason": null}]), &Value::Null)
}

fn last(usage: bool) -> String {
    let tokens = json!({"prompt_tokens": 20, "completion_tokens": CHUNKS, "total_tokens": 20 + CHUNKS});
    let usage = if usage { event(&json!([]), &tokens) } else { String::new() };
    format!("{usage}{}0\r\n\r\n", framed("data: [DONE]\n\n"))
}

fn event(choices: &Value, usage: &Value) -> String {
    let mut event = json!({
        "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_700_000_000, "model": "gpt-3.5-turbo-0125",
        "choices": choices,
    });
    if !usage.is_null() {
        event["usage"] = usage.clone();
    }
    framed(&format!("data: {event}\n\n"))
}

/// A chunk of HTTP/1.
fn framed(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}
