//! HTTP/2 by hand: frames and header fields that no library sends.

use std::time::Duration;

use llm_balancer_integration::raw;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// A header field: name and value.
pub type Field<'a> = (&'a str, &'a str);

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With a whole answer, of status 200 or another one.
    Answered { ok: bool },
    /// The stream was reset, or the connection ended.
    Refused,
    /// Neither, within two seconds.
    Open,
}

/// The fields of a chat.
pub const CHAT: [Field<'static>; 5] = [
    (":method", "POST"),
    (":scheme", "http"),
    (":authority", "balancer"),
    (":path", "/v1/chat/completions"),
    ("content-type", "application/json"),
];

/// Sends one request on a new connection, with trailers if there are any.
pub async fn request(port: u16, fields: &[Field<'_>], body: &[u8], trailers: &[Field<'_>]) -> End {
    let mut socket = open(port, &[]).await;
    let ends = |last: bool| if last { END_STREAM } else { 0 };
    let mut bytes = frame(HEADERS, END_HEADERS, &block(fields));
    bytes.extend(frame(DATA, ends(trailers.is_empty()), body));
    if !trailers.is_empty() {
        bytes.extend(frame(HEADERS, END_HEADERS | END_STREAM, &block(trailers)));
    }
    // The other side may refuse before it has read all.
    let _ = socket.write_all(&bytes).await;
    timeout(Duration::from_secs(5), end(&mut socket)).await.unwrap_or(End::Open)
}

/// A connection with these settings, each an identifier and a value.
pub async fn open(port: u16, settings: &[(u16, u32)]) -> TcpStream {
    let mut socket = raw::connect(port).await;
    let mut payload = Vec::new();
    for (identifier, value) in settings {
        payload.extend(identifier.to_be_bytes());
        payload.extend(value.to_be_bytes());
    }
    socket.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    socket.write_all(&framed(SETTINGS, 0, 0, &payload)).await.unwrap();
    socket
}

/// A chat on the first stream.
pub fn chat(body: &[u8]) -> Vec<u8> {
    [frame(HEADERS, END_HEADERS, &block(&CHAT)), frame(DATA, END_STREAM, body)].concat()
}

/// So many chats, each reset at once, on one connection.
pub async fn reset_at_once(port: u16, body: &[u8], count: u32) {
    const CANCEL: [u8; 4] = [0, 0, 0, 8];
    let mut socket = open(port, &[]).await;
    for stream in (1..).step_by(2).take(count as usize) {
        let request = [
            framed(HEADERS, END_HEADERS, stream, &block(&CHAT)),
            framed(DATA, END_STREAM, stream, body),
            framed(RST_STREAM, 0, stream, &CANCEL),
        ];
        if socket.write_all(&request.concat()).await.is_err() {
            return;
        }
    }
}

/// Reads until the first stream ends.
pub async fn end(socket: &mut TcpStream) -> End {
    let mut ok = false;
    loop {
        let mut head = [0; 9];
        if socket.read_exact(&mut head).await.is_err() {
            return End::Refused;
        }
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let mut payload = vec![0; length];
        if socket.read_exact(&mut payload).await.is_err() {
            return End::Refused;
        }
        let (kind, flags) = (head[3], head[4]);
        match kind {
            RST_STREAM | GOAWAY => return End::Refused,
            // The status is the first field, after an update of the table's size: 0x88 is 200.
            HEADERS => ok |= payload.iter().find(|byte| **byte & 0xe0 != 0x20) == Some(&0x88),
            _ => {}
        }
        if matches!(kind, HEADERS | DATA) && flags & END_STREAM != 0 {
            return End::Answered { ok };
        }
    }
}

/// A frame of the first stream.
fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
    framed(kind, flags, 1, payload)
}

fn framed(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = vec![length[1], length[2], length[3], kind, flags];
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// Fields as literals without a table (RFC 7541, 6.2.2), byte by byte.
fn block(fields: &[Field<'_>]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            push_length(&mut block, text.len());
            block.extend(text.as_bytes());
        }
    }
    block
}

/// A number in seven bits and more (RFC 7541, 5.1).
fn push_length(block: &mut Vec<u8>, length: usize) {
    let Some(mut rest) = length.checked_sub(127) else { return block.push(length as u8) };
    block.push(127);
    while rest >= 128 {
        block.push((rest % 128 + 128) as u8);
        rest /= 128;
    }
    block.push(rest as u8);
}
