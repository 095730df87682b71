//! The little of HTTP that the bench speaks itself.

use std::error::Error;
use std::io::{self, BufRead};
use std::time::Duration;

use ureq::Agent;

/// For one request of the bench itself.
const PATIENCE: Duration = Duration::from_secs(20);

/// A request that the streaming provider has read to its end.
#[derive(Debug)]
pub struct Request {
    body: Vec<u8>,
}

impl Request {
    pub fn is_stream(&self) -> bool {
        self.has("\"stream\":true") || self.has("\"stream\": true")
    }

    pub fn wants_usage(&self) -> bool {
        self.has("\"include_usage\":true") || self.has("\"include_usage\": true")
    }

    fn has(&self, text: &str) -> bool {
        self.body.windows(text.len()).any(|window| window == text.as_bytes())
    }
}

/// Reads a whole request, by content-length or in chunks; `None` at the end of the connection.
pub fn read_request(from: &mut impl BufRead) -> io::Result<Option<Request>> {
    let (mut length, mut chunked) = (0, false);
    let mut first = true;
    loop {
        let mut line = String::new();
        if from.read_line(&mut line)? == 0 {
            return if first { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
        }
        first = false;
        let line = line.trim_end().to_ascii_lowercase();
        if line.is_empty() {
            break;
        } else if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().map_err(io::Error::other)?;
        } else if let Some(value) = line.strip_prefix("transfer-encoding:") {
            chunked = value.trim() == "chunked";
        }
    }
    let body = if chunked { read_chunks(from)? } else { read_exact(from, length)? };
    Ok(Some(Request { body }))
}

fn read_chunks(from: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        from.read_line(&mut line)?;
        let size = usize::from_str_radix(line.trim_end(), 16).map_err(io::Error::other)?;
        let chunk = read_exact(from, size)?;
        from.read_line(&mut String::new())?;
        if size == 0 {
            return Ok(body);
        }
        body.extend(chunk);
    }
}

fn read_exact(from: &mut impl BufRead, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    from.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// The body of a GET.
pub fn get(port: u16, path: &str) -> Result<String, Box<dyn Error>> {
    Ok(agent().get(format!("http://127.0.0.1:{port}{path}")).call()?.into_body().read_to_string()?)
}

/// Sends a chat request and reads the answer to its end; fails unless it has status 200.
pub fn chat(port: u16, body: &str, headers: &[(String, String)]) -> Result<(), Box<dyn Error>> {
    let mut request = agent().post(format!("http://127.0.0.1:{port}/v1/chat/completions"));
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let response = request.send(body)?;
    let status = response.status();
    let answer = response.into_body().read_to_string()?;
    if status == 200 { Ok(()) } else { Err(format!("status {status}: {answer}").into()) }
}

fn agent() -> Agent {
    let config = Agent::config_builder().timeout_global(Some(PATIENCE)).http_status_as_error(false);
    // No proxy of the environment for loopback.
    config.proxy(None).build().into()
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::read_request;

    #[test]
    fn requests_of_a_kept_connection_are_read_to_their_end_in_both_framings() {
        let mut wire = Cursor::new(concat!(
            "POST /v1 HTTP/1.1\r\nContent-Length: 15\r\n\r\n{\"stream\":true}",
            "POST /v1 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n8\r\n{\"stream\r\n7\r\n\": true\r\n1\r\n}\r\n0\r\n\r\n",
            "GET /health HTTP/1.1\r\nhost: a\r\n\r\n",
        ));
        let mut next = || read_request(&mut wire).unwrap();
        assert!(next().unwrap().is_stream());
        assert!(next().unwrap().is_stream());
        assert!(!next().unwrap().is_stream());
        assert!(next().is_none());
    }

    #[test]
    fn a_request_that_breaks_off_is_an_error() {
        assert!(read_request(&mut Cursor::new("POST / HTTP/1.1\r\ncontent-length: 5\r\n\r\n{}")).is_err());
        assert!(read_request(&mut Cursor::new("POST / HTTP/1.1\r\n")).is_err());
    }
}
