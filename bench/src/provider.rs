//! The provider: an Envoy for chat completions, a thread of this process for streams.

use std::error::Error;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::http;
use crate::process::Process;
use crate::streams::Streams;

/// Where the provider listens: three deployments, or three workers of a peer.
pub const ADDRESSES: [&str; 3] = ["127.0.0.1", "127.0.0.2", "127.0.0.3"];

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
    Streams { port: u16, streams: &'static Streams },
}

impl Provider {
    pub fn port(&self) -> u16 {
        match self {
            Self::Envoy { port, .. } | Self::Streams { port, .. } => *port,
        }
    }

    pub fn seen(&self) -> Result<Seen, Box<dyn Error>> {
        match self {
            Self::Streams { streams, .. } => Ok(streams.seen()),
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
        if let Self::Streams { streams, .. } = self {
            while streams.are_open() && started.elapsed() < DRAIN {
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
