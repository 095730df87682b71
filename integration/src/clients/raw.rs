//! Clients that no library allows: bytes on a socket, and the answer.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A connection to this port of loopback.
pub async fn connect(port: u16) -> TcpStream {
    TcpStream::connect(("127.0.0.1", port)).await.expect("the balancer accepts connections")
}

/// Sends the bytes and reads until `enough` says so, the other side closes, or ten seconds have
/// passed.
pub async fn exchange(socket: &mut TcpStream, bytes: &[u8], enough: impl Fn(&str) -> bool) -> String {
    // The other side may refuse before it has read all.
    let _ = socket.write_all(bytes).await;
    let mut seen = Vec::new();
    let mut buffer = [0; 16 * 1024];
    let reading = async {
        while !enough(&String::from_utf8_lossy(&seen)) {
            match socket.read(&mut buffer).await {
                Ok(0) | Err(_) => break,
                Ok(count) => seen.extend_from_slice(&buffer[..count]),
            }
        }
    };
    let _ = timeout(Duration::from_secs(10), reading).await;
    String::from_utf8_lossy(&seen).into_owned()
}

/// Sends the bytes on a new connection and reads until the answer's body is as long as its
/// content-length says.
pub async fn request(port: u16, bytes: &[u8]) -> String {
    exchange(&mut connect(port).await, bytes, complete).await
}

/// Whether the text is a whole HTTP/1.1 answer, framed by content-length.
pub fn complete(answer: &str) -> bool {
    let Some((head, body)) = answer.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| {
        line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse::<usize>().ok()
    });
    length.is_some_and(|length| body.len() >= length)
}

/// The status of an answer, zero where it has none.
pub fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
}

/// The body of an answer framed by content-length, as JSON.
#[track_caller]
pub fn json(answer: &str) -> serde_json::Value {
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body).unwrap_or_default();
    serde_json::from_str(body).unwrap_or_else(|error| panic!("no JSON ({error}) in {answer:?}"))
}

/// A chat request's head and body, with this content-length, or chunked where there is none.
pub fn chat(body: &str, length: Option<usize>) -> Vec<u8> {
    let framing =
        length.map_or("transfer-encoding: chunked".to_owned(), |length| format!("content-length: {length}"));
    format!("POST /v1/chat/completions HTTP/1.1\r\nhost: balancer\r\ncontent-type: application/json\r\n{framing}\r\n\r\n{body}").into_bytes()
}
