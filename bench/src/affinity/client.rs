//! The clients of a workload: each request at its time, however long others take.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fake_provider::vllm::{Turn, Workload};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{sleep_until, timeout};

/// For one request.
const PATIENCE: Duration = Duration::from_secs(60);

/// A request that was answered.
#[derive(Clone, Copy, Debug)]
pub struct Answered {
    /// The number of the turn.
    pub turn: usize,
    /// From the start of the request to the first event of the answer.
    pub first_token: Duration,
}

/// Sends all turns to a port, `speed` times as fast as the workload says, from `started` on. Returns
/// the requests that were answered; others failed.
pub async fn send_all(workload: Arc<Workload>, port: u16, speed: f64, started: Instant) -> Vec<Answered> {
    let mut requests = JoinSet::new();
    for (number, turn) in workload.turns.iter().enumerate() {
        sleep_until((started + Duration::from_secs_f64(turn.at as f64 / 1e6 / speed)).into()).await;
        let (workload, turn) = (Arc::clone(&workload), *turn);
        requests.spawn(async move {
            let message = message(&workload, &turn);
            let first_token = timeout(PATIENCE, send(port, &message)).await.ok()?.ok()?;
            Some(Answered { turn: number, first_token })
        });
    }
    requests.join_all().await.into_iter().flatten().collect()
}

/// The request, with the conversation's id in the headers that LiteLLM and vllm-router read.
fn message(workload: &Workload, turn: &Turn) -> String {
    let body = workload.body(turn, super::MODEL);
    let (length, session) = (body.len(), turn.session);
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: a.test\r\nconnection: close\r\ncontent-type: application/json\r\nx-session-id: session-{session}\r\nx-litellm-session-id: session-{session}\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

/// The time to the first event of the answer, which is read to its end.
async fn send(port: u16, message: &str) -> io::Result<Duration> {
    let started = Instant::now();
    let mut socket = TcpStream::connect(("127.0.0.1", port)).await?;
    socket.set_nodelay(true)?;
    socket.write_all(message.as_bytes()).await?;
    let mut bytes = Vec::new();
    let mut first_token = None;
    while socket.read_buf(&mut bytes).await? > 0 {
        if first_token.is_none() && contains(&bytes, b"data: {") {
            first_token = Some(started.elapsed());
        }
    }
    let is_complete = bytes.starts_with(b"HTTP/1.1 200 ") && contains(&bytes, b"data: [DONE]");
    first_token.filter(|_| is_complete).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

fn contains(bytes: &[u8], text: &[u8]) -> bool {
    bytes.windows(text.len()).any(|window| window == text)
}
