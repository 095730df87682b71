//! HTTP/1.1 by hand, so that a script can break it: reads a request, performs an answer.

use std::io::{self, ErrorKind};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::answer::{Answer, Body, Break, End};
use crate::received::Received;
use crate::{anthropic, openai};

/// What a connection is made of: TCP, or TLS over it.
pub(crate) trait Wire: AsyncRead + AsyncWrite + Unpin + Send {
    /// The socket underneath.
    fn tcp(&self) -> &TcpStream;
}

impl Wire for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }
}

#[cfg(feature = "tls")]
impl Wire for tokio_rustls::server::TlsStream<TcpStream> {
    fn tcp(&self) -> &TcpStream {
        self.get_ref().0
    }
}

/// The request line, headers and body of the next request; `None` where the client is done.
pub(crate) async fn read<W: Wire>(wire: &mut BufReader<W>) -> io::Result<Option<Received>> {
    let Some(first) = line(wire).await? else { return Ok(None) };
    let mut words = first.split(' ');
    let (method, target) =
        (words.next().unwrap_or_default().to_owned(), words.next().unwrap_or_default().to_owned());
    let mut headers = Vec::new();
    while let Some(text) = line(wire).await?.filter(|text| !text.is_empty()) {
        let (name, value) = text.split_once(':').ok_or(ErrorKind::InvalidData)?;
        headers.push((name.to_owned(), value.trim().to_owned()));
    }
    let name = target.split(['/', '?']).nth(1).unwrap_or_default().to_owned();
    let mut received = Received {
        name,
        number: 0,
        connection: 0,
        at: Instant::now(),
        method,
        target,
        headers,
        body: Vec::new(),
        sni: None,
    };
    received.body = body(wire, &received).await?;
    received.at = Instant::now();
    Ok(Some(received))
}

async fn line<W: Wire>(wire: &mut BufReader<W>) -> io::Result<Option<String>> {
    let mut bytes = Vec::new();
    if wire.read_until(b'\n', &mut bytes).await? == 0 {
        return Ok(None);
    }
    Ok(Some(String::from_utf8_lossy(&bytes).trim_end().to_owned()))
}

async fn body<W: Wire>(wire: &mut BufReader<W>, request: &Received) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    if let Some(length) = request.header("content-length") {
        body.resize(length.parse().map_err(|_| ErrorKind::InvalidData)?, 0);
        wire.read_exact(&mut body).await?;
    } else if request.header("transfer-encoding").is_some() {
        loop {
            let size = line(wire).await?.ok_or(ErrorKind::UnexpectedEof)?;
            let size = usize::from_str_radix(size.split(';').next().unwrap_or_default(), 16)
                .map_err(|_| ErrorKind::InvalidData)?;
            let start = body.len();
            body.resize(start + size, 0);
            wire.read_exact(&mut body[start..]).await?;
            line(wire).await?;
            if size == 0 {
                break;
            }
        }
    }
    Ok(body)
}

/// What became of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Performed {
    /// Sent as scripted; the next request may come on this connection.
    Whole,
    /// The connection was ended, as scripted.
    Broken,
    /// The other side went while there was something left to say.
    Abandoned,
}

/// Does to the connection what the answer says.
pub(crate) async fn perform<W: Wire>(
    wire: &mut BufReader<W>,
    answer: &Answer,
    request: &Received,
) -> io::Result<Performed> {
    if !stays(wire, answer.before_headers).await {
        return Ok(Performed::Abandoned);
    }
    if let End::BeforeHeaders(how) = answer.end {
        return end(wire, how).await;
    }
    let (head, pieces, chunked) = message(answer, request);
    wire.write_all(&head).await?;
    wire.flush().await?;
    for (sent, piece) in pieces.iter().enumerate() {
        if let End::AfterPieces(wanted, how) = answer.end
            && sent == wanted
        {
            return end(wire, how).await;
        }
        if !stays(wire, answer.between_pieces).await {
            return Ok(Performed::Abandoned);
        }
        send(wire, piece, chunked).await?;
    }
    if let End::AfterPieces(_, how) = answer.end {
        return end(wire, how).await;
    }
    if !stays(wire, answer.before_end).await {
        return Ok(Performed::Abandoned);
    }
    if chunked {
        wire.write_all(b"0\r\n\r\n").await?;
    }
    wire.flush().await?;
    Ok(Performed::Whole)
}

async fn send<W: Wire>(wire: &mut BufReader<W>, piece: &[u8], chunked: bool) -> io::Result<()> {
    if chunked {
        let mut framed = format!("{:x}\r\n", piece.len()).into_bytes();
        framed.extend_from_slice(piece);
        framed.extend_from_slice(b"\r\n");
        wire.write_all(&framed).await?;
    } else {
        wire.write_all(piece).await?;
    }
    wire.flush().await
}

fn error(request: &Received, status: u16) -> Value {
    if anthropic::serves(request) {
        anthropic::error(&request.name, status)
    } else {
        openai::error(&request.name, status)
    }
}

/// The head as bytes, the body in pieces, and whether they are chunked.
fn message(answer: &Answer, request: &Received) -> (Vec<u8>, Vec<Vec<u8>>, bool) {
    let (content_type, pieces, chunked, status) = match &answer.body {
        Body::Raw(bytes) => return (bytes.clone(), Vec::new(), false),
        Body::Bytes(bytes) => ("application/json", halves(bytes), false, answer.status),
        Body::Pieces(pieces) => ("", pieces.clone(), true, answer.status),
        Body::Error => (
            "application/json",
            halves(error(request, answer.status).to_string().as_bytes()),
            false,
            answer.status,
        ),
        Body::OfTheRoute { events } => {
            let content = if anthropic::serves(request) {
                anthropic::content(request, *events, answer.usage)
            } else {
                openai::content(request, *events, answer.usage)
            };
            (
                content.content_type,
                content.pieces,
                content.streaming,
                if answer.status == 200 { content.status } else { answer.status },
            )
        }
    };
    let mut head = format!("HTTP/1.1 {status} Said\r\n");
    let mut add = |name: &str, value: &str| head.push_str(&format!("{name}: {value}\r\n"));
    let told = |name: &str| answer.headers.iter().any(|(key, _)| key.eq_ignore_ascii_case(name));
    if !content_type.is_empty() && !told("content-type") {
        add("content-type", content_type);
    }
    if chunked {
        add("transfer-encoding", "chunked");
    } else if !told("content-length") {
        add("content-length", &pieces.iter().map(Vec::len).sum::<usize>().to_string());
    }
    for (name, value) in &answer.headers {
        add(name, value);
    }
    head.push_str("\r\n");
    (head.into_bytes(), pieces, chunked)
}

fn halves(bytes: &[u8]) -> Vec<Vec<u8>> {
    let (first, second) = bytes.split_at(bytes.len() / 2);
    vec![first.to_vec(), second.to_vec()]
}

pub(crate) async fn end<W: Wire>(wire: &mut BufReader<W>, how: Break) -> io::Result<Performed> {
    match how {
        Break::Hang => {
            stays(wire, Duration::MAX).await;
            return Ok(Performed::Abandoned);
        }
        Break::Reset => wire.get_ref().tcp().set_zero_linger()?,
        Break::Close => wire.shutdown().await?,
    }
    Ok(Performed::Broken)
}

/// Waits; false as soon as the other side has gone.
async fn stays<W: Wire>(wire: &mut BufReader<W>, wait: Duration) -> bool {
    if wait.is_zero() {
        return true;
    }
    let started = Instant::now();
    match timeout(wait, wire.fill_buf()).await {
        Err(_) => true,
        Ok(Ok(bytes)) if !bytes.is_empty() => {
            sleep(wait.saturating_sub(started.elapsed())).await;
            true
        }
        Ok(_) => false,
    }
}
