//! The load: keep-alive connections that send the same request as fast as it is answered.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::interval;

/// What is sent, and where.
#[derive(Clone, Copy)]
pub struct Load {
    pub port: u16,
    /// Bytes of the request's body.
    pub body: usize,
    pub connections: usize,
    /// In all.
    pub requests: usize,
    /// Requests per second, spread evenly over the connections; `None` for as fast as they are
    /// answered.
    pub rate: Option<u32>,
}

impl Load {
    /// Sends everything; panics on any answer but 200.
    pub async fn run(self) {
        let each = self.requests / self.connections;
        let clients: Vec<_> = (0..self.connections).map(|_| tokio::spawn(client(self, each))).collect();
        for client in clients {
            client.await.expect("every request is answered with 200");
        }
    }
}

/// A chat with this model, with a body of so many bytes.
pub fn chat(port: u16, model: &str, body: usize) -> Vec<u8> {
    let frame =
        format!(r#"{{"model":"{model}","messages":[{{"role":"user","content":""}}],"temperature":0.7}}"#);
    let prompt: String = "The quick brown fox jumps over the lazy dog. "
        .chars()
        .cycle()
        .take(body.saturating_sub(frame.len()))
        .collect();
    let body = frame.replace(r#""content":"""#, &format!(r#""content":"{prompt}""#));
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nuser-agent: OpenAI/Python 2.8.1\r\naccept: application/json\r\naccept-encoding: gzip, deflate\r\nauthorization: Bearer sk-client\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

async fn client(load: Load, requests: usize) {
    let mut stream = TcpStream::connect(("127.0.0.1", load.port)).await.expect("the subject listens");
    stream.set_nodelay(true).expect("a TCP stream");
    let request = chat(load.port, "gpt-3.5-turbo", load.body);
    let mut buffer = Vec::with_capacity(4096);
    let connections = u32::try_from(load.connections).expect("a moderate number");
    let mut pace = load.rate.map(|rate| interval(Duration::from_secs(1) * connections / rate));
    for _ in 0..requests {
        if let Some(pace) = &mut pace {
            pace.tick().await;
        }
        stream.write_all(&request).await.expect("the connection is kept alive");
        let length = message(&mut buffer, &mut stream).await.expect("an answer");
        assert!(buffer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&buffer));
        buffer.drain(..length);
    }
}

/// Reads until the buffer holds a whole message; returns its length, or `None` at the end of the
/// connection.
pub async fn message(buffer: &mut Vec<u8>, stream: &mut (impl AsyncRead + Unpin)) -> Option<usize> {
    loop {
        if let Some(length) = length(buffer).filter(|length| *length <= buffer.len()) {
            return Some(length);
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
}

/// Head and body together, by content-length.
fn length(buffer: &[u8]) -> Option<usize> {
    let head = buffer.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&buffer[..head]).ok()?;
    let line =
        text.lines().find(|line| line.len() > 15 && line[..15].eq_ignore_ascii_case("content-length:"))?;
    Some(head + line[15..].trim().parse::<usize>().ok()?)
}
