//! A request that the provider received.

use std::time::Instant;

use serde_json::Value;

/// A request as it arrived, to be asserted on.
#[derive(Clone, Debug)]
pub struct Received {
    /// The deployment it was for: the first segment of the path.
    pub name: String,
    /// Counts all requests of this provider, from 1.
    pub number: u64,
    /// Counts its connections, from 1.
    pub connection: u64,
    /// When its body was complete.
    pub at: Instant,
    /// `POST`
    pub method: String,
    /// Path and query as sent.
    pub target: String,
    /// In the order and spelling that they were sent.
    pub headers: Vec<(String, String)>,
    /// Without transfer coding.
    pub body: Vec<u8>,
    /// The server name of the TLS handshake.
    pub sni: Option<String>,
}

impl Received {
    /// The value of a header, its name in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The body as JSON, or null.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// `/chat/completions`: the path behind the deployment's own part, without the query.
    pub fn route(&self) -> &str {
        const GROUPS: [&str; 5] = ["/chat", "/images", "/audio", "/messages", "/responses"];
        let path = self.target.split('?').next().unwrap_or_default();
        let last = path.rfind('/').unwrap_or(0);
        let parent = path[..last].rfind('/').unwrap_or(last);
        let grouped = GROUPS.contains(&&path[parent..last]);
        if grouped { &path[parent..] } else { &path[last..] }
    }

    /// The model it asks for, in JSON or in a form; empty where there is none.
    pub fn model(&self) -> String {
        match self.json()["model"].as_str() {
            Some(model) => model.to_owned(),
            None => self.field("model").unwrap_or_default(),
        }
    }

    /// A field of a multipart form.
    pub fn field(&self, name: &str) -> Option<String> {
        let body = String::from_utf8_lossy(&self.body);
        let (_, rest) = body.split_once(&format!("name=\"{name}\""))?;
        let (_, value) = rest.split_once("\r\n\r\n")?;
        value.split_once("\r\n--").map(|(value, _)| value.to_owned())
    }

    /// Whether it asks for the usage of a stream.
    pub fn asks_usage(&self) -> bool {
        self.json()["stream_options"]["include_usage"] == true
    }

    /// Whether it asks for a stream, in JSON or in a form.
    pub(crate) fn streams(&self) -> bool {
        let form = self.header("content-type").is_some_and(|kind| kind.starts_with("multipart/"));
        if form { self.field("stream").as_deref() == Some("true") } else { self.json()["stream"] == true }
    }
}
