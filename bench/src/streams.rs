//! A provider of streams as model servers send them: every step makes one event for each stream, so
//! the events of all streams come together. A step takes 2 ms.

use std::error::Error;
use std::io::{self, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::http;
use crate::provider::{ADDRESSES, Seen, completion};

/// Events with content in a stream.
pub const CHUNKS: u64 = 300;
/// How often a stream has a further event.
const STEP: Duration = Duration::from_millis(2);

const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";

/// The streams of one port. They live as long as this process.
#[derive(Debug, Default)]
pub struct Streams {
    connections: AtomicU64,
    chunks: AtomicU64,
    open: Mutex<Vec<Stream>>,
}

/// A stream that is being sent.
#[derive(Debug)]
struct Stream {
    connection: TcpStream,
    left: u64,
    wants_usage: bool,
    /// Dropped at the end, which lets the connection's next request be read.
    _end: Sender<()>,
}

impl Streams {
    /// Serves on this port, in threads on the processors of this one.
    pub fn serve(port: u16) -> Result<&'static Self, Box<dyn Error>> {
        let streams: &'static Self = Box::leak(Box::default());
        for ip in ADDRESSES {
            let listener = TcpListener::bind((ip, port))?;
            thread::spawn(move || streams.accept(&listener));
        }
        thread::spawn(move || streams.send());
        Ok(streams)
    }

    pub fn seen(&self) -> Seen {
        Seen { connections: self.connections.load(Relaxed), chunks: self.chunks.load(Relaxed) }
    }

    pub fn are_open(&self) -> bool {
        self.with(|open| !open.is_empty())
    }

    fn with<T>(&self, with: impl FnOnce(&mut Vec<Stream>) -> T) -> T {
        with(&mut self.open.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn accept(&'static self, listener: &TcpListener) {
        for connection in listener.incoming().flatten() {
            self.connections.fetch_add(1, Relaxed);
            // Ends with the connection, however it ends.
            thread::spawn(move || self.read(&connection));
        }
    }

    fn read(&self, mut connection: &TcpStream) -> io::Result<()> {
        connection.set_nodelay(true)?;
        let mut requests = BufReader::new(connection.try_clone()?);
        while let Some(request) = http::read_request(&mut requests)? {
            if request.is_stream() {
                let (end, ended) = channel();
                let (connection, wants_usage) = (connection.try_clone()?, request.wants_usage());
                self.with(|open| open.push(Stream { connection, left: CHUNKS, wants_usage, _end: end }));
                let _ = ended.recv();
            } else {
                // A peer asks how the provider is.
                let body = completion();
                let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length";
                connection.write_all(format!("{head}: {}\r\n\r\n{body}", body.len()).as_bytes())?;
            }
        }
        Ok(())
    }

    /// The steps, each at its time.
    fn send(&self) {
        let texts = Texts::new();
        let mut due = Instant::now();
        loop {
            due += STEP;
            thread::sleep(due.saturating_duration_since(Instant::now()));
            self.with(|open| open.retain_mut(|stream| self.step(stream, &texts)));
        }
    }

    /// Sends the next event; whether more follow. None do if the client has left.
    fn step(&self, stream: &mut Stream, texts: &Texts) -> bool {
        stream.left -= 1;
        let mut text = String::new();
        if stream.left + 1 == CHUNKS {
            text += HEAD;
        }
        text += &texts.chunk;
        if stream.left == 0 {
            text += if stream.wants_usage { &texts.end_with_usage } else { &texts.end };
        }
        self.chunks.fetch_add(1, Relaxed);
        stream.connection.write_all(text.as_bytes()).is_ok() && stream.left > 0
    }
}

/// What a stream consists of, as chunks of HTTP/1.
struct Texts {
    chunk: String,
    end: String,
    end_with_usage: String,
}

impl Texts {
    fn new() -> Self {
        let content = json!([{"index": 0, "delta": {"content": "hello "}, "finish_reason": null}]);
        let tokens = json!({"prompt_tokens": 20, "completion_tokens": CHUNKS, "total_tokens": 20 + CHUNKS});
        let end = framed("data: [DONE]\n\n") + "0\r\n\r\n";
        let end_with_usage = event(&json!([]), Some(tokens)) + &end;
        Self { chunk: event(&content, None), end, end_with_usage }
    }
}

fn event(choices: &Value, usage: Option<Value>) -> String {
    let mut event = json!({
        "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_700_000_000, "model": "gpt-3.5-turbo-0125",
        "choices": choices,
    });
    if let Some(usage) = usage {
        event["usage"] = usage;
    }
    framed(&format!("data: {event}\n\n"))
}

fn framed(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;

    use super::Streams;
    use crate::subject::free_port;

    #[test]
    fn a_kept_connection_gets_one_stream_after_the_other_with_usage_where_it_is_requested() {
        let port = free_port();
        let streams = Streams::serve(port).unwrap();
        let mut connection = TcpStream::connect(("127.0.0.1", port)).unwrap();
        for (body, expected) in [
            ("{\"stream\": true}", 0),
            ("{\"stream\": true, \"stream_options\": {\"include_usage\": true}}", 1),
        ] {
            let length = body.len();
            write!(connection, "POST / HTTP/1.1\r\ncontent-length: {length}\r\n\r\n{body}").unwrap();
            let mut answer = String::new();
            while !answer.ends_with("data: [DONE]\n\n\r\n0\r\n\r\n") {
                let mut some = [0; 4096];
                let length = connection.read(&mut some).unwrap();
                assert!(length > 0, "{answer}");
                answer += std::str::from_utf8(&some[..length]).unwrap();
            }
            assert_eq!(answer.matches("hello ").count(), 300);
            assert_eq!(answer.matches("completion_tokens").count(), expected);
        }
        assert_eq!((streams.seen().connections, streams.seen().chunks), (1, 600));
    }
}
