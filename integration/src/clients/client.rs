//! A client as users have it: HTTP/1.1 or HTTP/2 with kept connections, plain answers and event
//! streams.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderMap};
use hyper::{Method, Request, Response};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tokio::time::timeout;

/// No test waits longer than this for anything.
const PATIENCE: Duration = Duration::from_secs(30);

/// Connect timeout: a host that is gone does not refuse connections.
const CONNECT: Duration = Duration::from_secs(2);

/// A client of one balancer.
#[derive(Clone, Debug)]
pub struct Client {
    origin: String,
    headers: Vec<(String, String)>,
    http: legacy::Client<HttpConnector, Full<Bytes>>,
}

impl Client {
    /// HTTP/1.1 to this port of loopback.
    pub fn new(port: u16) -> Self {
        Self::with(&format!("127.0.0.1:{port}"), false)
    }

    /// HTTP/1.1 to this address, of another host too.
    pub fn at(address: SocketAddr) -> Self {
        Self::with(&address.to_string(), false)
    }

    /// HTTP/2 without TLS, by prior knowledge.
    pub fn http2(port: u16) -> Self {
        Self::with(&format!("127.0.0.1:{port}"), true)
    }

    fn with(address: &str, http2: bool) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT));
        let http = legacy::Client::builder(TokioExecutor::new()).http2_only(http2).build(connector);
        Self { origin: format!("http://{address}"), headers: Vec::new(), http }
    }

    /// The same client, with a header on every request.
    pub fn with_header(&self, name: &str, value: &str) -> Self {
        let mut client = self.clone();
        client.headers.push((name.to_owned(), value.to_owned()));
        client
    }

    /// A GET.
    pub async fn get(&self, path: &str) -> Reply {
        self.send(Method::GET, path, "application/json", Bytes::new()).await
    }

    /// Whether this path is answered with 200; a connection that breaks is no answer.
    pub async fn answers(&self, path: &str) -> bool {
        let uri = format!("{}{path}", self.origin).parse().expect("a valid address");
        let asked = timeout(PATIENCE, self.http.get(uri)).await;
        asked.is_ok_and(|answer| answer.is_ok_and(|response| response.status() == 200))
    }

    /// A POST of JSON.
    pub async fn post(&self, path: &str, body: &Value) -> Reply {
        self.send(Method::POST, path, "application/json", body.to_string()).await
    }

    /// The smallest chat request there is, to `/v1/chat/completions`.
    pub async fn chat(&self, model: &str) -> Reply {
        self.post("/v1/chat/completions", &ask(model)).await
    }

    /// The same with an error if there is no answer; it says whether a connection was made.
    pub async fn try_chat(&self, model: &str) -> Result<Reply, legacy::Error> {
        let request = self.request(
            Method::POST,
            "/v1/chat/completions",
            "application/json",
            ask(model).to_string().into(),
        );
        let response = timeout(PATIENCE, self.http.request(request)).await.expect("headers in time")?;
        Ok(read(response).await)
    }

    /// A POST of JSON, or why there is no answer. Waits for as long as it takes.
    pub async fn try_post(&self, path: &str, body: &Value) -> Result<Reply, legacy::Error> {
        let request = self.request(Method::POST, path, "application/json", body.to_string().into());
        let (parts, incoming) = self.http.request(request).await?.into_parts();
        let (body, complete) = match incoming.collect().await {
            Ok(collected) => (collected.to_bytes(), true),
            Err(_) => (Bytes::new(), false),
        };
        Ok(Reply { status: parts.status.as_u16(), headers: parts.headers, body, complete })
    }

    /// A chat request with further members.
    pub async fn chat_with(&self, model: &str, more: &Value) -> Reply {
        let mut body = ask(model);
        for (key, value) in more.as_object().expect("members are an object") {
            body[key] = value.clone();
        }
        self.post("/v1/chat/completions", &body).await
    }

    /// Any request, its answer read to the end.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        content_type: &str,
        body: impl Into<Bytes>,
    ) -> Reply {
        read(self.start(method, path, content_type, body.into()).await).await
    }

    /// A POST whose answer is read event by event.
    pub async fn stream(&self, path: &str, body: &Value) -> Events {
        let response = self.start(Method::POST, path, "application/json", body.to_string().into()).await;
        let (parts, incoming) = response.into_parts();
        Events { status: parts.status.as_u16(), headers: parts.headers, incoming, broken: false }
    }

    /// A streaming chat request.
    pub async fn stream_chat(&self, model: &str) -> Events {
        let mut body = ask(model);
        body["stream"] = json!(true);
        self.stream("/v1/chat/completions", &body).await
    }

    async fn start(&self, method: Method, path: &str, content_type: &str, body: Bytes) -> Response<Incoming> {
        let request = self.request(method, path, content_type, body);
        timeout(PATIENCE, self.http.request(request)).await.expect("headers in time").expect("an answer")
    }

    fn request(&self, method: Method, path: &str, content_type: &str, body: Bytes) -> Request<Full<Bytes>> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.origin));
        if !body.is_empty() {
            request = request.header(CONTENT_TYPE, content_type);
        }
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        request.body(Full::new(body)).expect("a valid request")
    }
}

/// An answer, to its end or to where it breaks off.
async fn read(response: Response<Incoming>) -> Reply {
    let (parts, incoming) = response.into_parts();
    let collected = timeout(PATIENCE, incoming.collect()).await.expect("the answer ends in time");
    let (body, complete) = match collected {
        Ok(collected) => (collected.to_bytes(), true),
        Err(_) => (Bytes::new(), false),
    };
    Reply { status: parts.status.as_u16(), headers: parts.headers, body, complete }
}

/// The smallest chat request there is.
pub fn ask(model: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": "hi"}]})
}

/// An answer, read to the end.
#[derive(Clone, Debug)]
pub struct Reply {
    /// 200
    pub status: u16,
    /// As they arrived.
    pub headers: HeaderMap,
    /// As it arrived; empty where it broke off.
    pub body: Bytes,
    /// False where the connection broke before the body was complete.
    pub complete: bool,
}

impl Reply {
    /// A header, or nothing.
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON; a test that asks for it fails where it is none.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| {
            panic!("{} with a body that is no JSON ({error}): {:?}", self.status, self.text())
        })
    }

    /// The deployment that answered, in its own words (chat and completions).
    #[track_caller]
    pub fn served_by(&self) -> String {
        assert_eq!(self.status, 200, "{}", self.text());
        self.json()["system_fingerprint"].as_str().unwrap_or_default().to_owned()
    }

    /// Retries that the balancer says it made.
    #[track_caller]
    pub fn retries(&self) -> u32 {
        let header = self.header("x-litellm-attempted-retries");
        header
            .and_then(|value| value.parse().ok())
            .unwrap_or_else(|| panic!("x-litellm-attempted-retries is {header:?}"))
    }

    /// Asserts the status and OpenAI's error shape, code included, and hands out the error object.
    #[track_caller]
    pub fn error(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        let error = self.json()["error"].clone();
        assert!(
            error["message"].as_str().is_some_and(|message| !message.is_empty()),
            "no message: {}",
            self.text()
        );
        assert!(error["type"].is_string(), "no type: {}", self.text());
        assert!(
            error.get("param").is_some_and(|param| param.is_null() || param.is_string()),
            "no param: {}",
            self.text()
        );
        assert_eq!(error["code"], json!(status.to_string()), "code: {}", self.text());
        error
    }
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// An answer that is read as it arrives.
#[derive(Debug)]
pub struct Events {
    /// 200
    pub status: u16,
    /// As they arrived.
    pub headers: HeaderMap,
    /// Whether the connection broke before the end.
    pub broken: bool,
    incoming: Incoming,
}

impl Events {
    /// A header, or nothing.
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }

    /// What arrived next, and when; nothing at the end.
    pub async fn next(&mut self) -> Option<(Instant, Bytes)> {
        loop {
            match timeout(PATIENCE, self.incoming.frame()).await.expect("the next bytes in time")? {
                Ok(frame) => match frame.into_data() {
                    Ok(data) => return Some((Instant::now(), data)),
                    Err(_trailers) => {}
                },
                Err(_) => {
                    self.broken = true;
                    return None;
                }
            }
        }
    }

    /// Reads until the stream ends or breaks, for as long as that takes.
    pub async fn until_end(&mut self) {
        while let Some(frame) = self.incoming.frame().await {
            self.broken |= frame.is_err();
        }
    }

    /// All that is left, as one text.
    pub async fn rest(&mut self) -> String {
        let mut all = Vec::new();
        while let Some((_, bytes)) = self.next().await {
            all.extend_from_slice(&bytes);
        }
        String::from_utf8(all).expect("events are text")
    }
}
