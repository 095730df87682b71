//! Workers on ports of loopback, which speak as much of vLLM's API as clients and gateways use:
//! `/v1/chat/completions` and `/render` below it, `/v1/models`, `/health` and `/metrics`.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::sleep_until;

use super::Micros;
use super::engine::{Counters, Engine, Model, Served, Work};
use super::prompt::{Prompt, reply};
use crate::received::Received;
use crate::wire;

/// Tokens of an answer without `max_tokens`.
const ANSWER: usize = 100;
/// Tokens in an event of a stream, after the first token, which has an event of its own. vLLM sends
/// each by itself; that would be most of the work of a measurement on one machine.
const EVENT: usize = 32;
/// A token of [`reply`].
const TOKEN: usize = super::TOKEN_BYTES;

/// Running workers. They end with the value.
#[derive(Debug)]
pub struct Workers {
    all: Vec<Arc<Worker>>,
    listening: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Worker {
    port: u16,
    engine: Mutex<Engine>,
    clock: Clock,
}

/// Time in which the model is as fast as it says.
#[derive(Clone, Copy, Debug)]
struct Clock {
    started: Instant,
    /// Seconds of the model in a second.
    speed: f64,
}

impl Clock {
    fn now(self) -> Micros {
        (self.started.elapsed().as_secs_f64() * 1e6 * self.speed) as Micros
    }

    async fn until(self, at: Micros) {
        let at = self.started + Duration::from_secs_f64(at as f64 / 1e6 / self.speed);
        sleep_until(at.into()).await;
    }
}

impl Workers {
    /// So many workers of this model, whose time passes `speed` times as fast.
    ///
    /// # Errors
    ///
    /// If loopback has no free port.
    pub async fn start(count: usize, model: Model, speed: f64) -> io::Result<Self> {
        let clock = Clock { started: Instant::now(), speed };
        let mut workers = Self { all: Vec::new(), listening: Vec::new() };
        for _ in 0..count {
            let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
            let port = listener.local_addr()?.port();
            let worker = Arc::new(Worker { port, engine: Mutex::new(Engine::new(model)), clock });
            workers.listening.push(tokio::spawn(accept(listener, Arc::clone(&worker))));
            workers.all.push(worker);
        }
        Ok(workers)
    }

    /// The ports, one for each worker.
    pub fn ports(&self) -> Vec<u16> {
        self.all.iter().map(|worker| worker.port).collect()
    }

    /// What each did so far.
    pub fn counters(&self) -> Vec<Counters> {
        self.all.iter().map(|worker| worker.engine().counters()).collect()
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.listening.iter().for_each(JoinHandle::abort);
    }
}

impl Worker {
    fn engine(&self) -> MutexGuard<'_, Engine> {
        self.engine.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn accept(listener: TcpListener, worker: Arc<Worker>) {
    while let Ok((socket, _)) = listener.accept().await {
        let _ = socket.set_nodelay(true);
        let worker = Arc::clone(&worker);
        tokio::spawn(async move { converse(BufReader::new(socket), &worker).await });
    }
}

/// Request and answer in turn, until the client has gone.
async fn converse(mut wire: BufReader<TcpStream>, worker: &Worker) -> io::Result<()> {
    while let Some(request) = wire::read(&mut wire).await? {
        match (&*request.method, request.target.split('?').next().unwrap_or_default()) {
            ("POST", "/v1/chat/completions") => chat(&mut wire, worker, &request).await?,
            // vllm-router's cache_aware compares prompts by the tokens that workers make of them.
            ("POST", "/v1/chat/completions/render") => {
                let tokens = json!({"token_ids": Prompt::of_body(&request.json()).token_ids()});
                send(&mut wire, 200, "application/json", &tokens.to_string()).await?;
            }
            ("GET", "/health") => send(&mut wire, 200, "text/plain", "").await?,
            ("GET", "/v1/models") => send(&mut wire, 200, "application/json", &models().to_string()).await?,
            ("GET", "/metrics") => {
                send(&mut wire, 200, "text/plain; version=0.0.4", &metrics(worker)).await?
            }
            _ => send(&mut wire, 404, "application/json", r#"{"detail":"Not Found"}"#).await?,
        }
    }
    Ok(())
}

async fn chat(wire: &mut BufReader<TcpStream>, worker: &Worker, request: &Received) -> io::Result<()> {
    let body = request.json();
    let asked = ["max_completion_tokens", "max_tokens"].into_iter().find_map(|key| body[key].as_u64());
    let tokens = asked.and_then(|tokens| usize::try_from(tokens).ok()).unwrap_or(ANSWER).max(1);
    let prompt = Prompt::of_body(&body);
    let last = body["messages"].as_array().and_then(|messages| messages.last());
    let text = reply(last.and_then(|message| message["content"].as_str()).unwrap_or_default(), tokens);
    let (blocks, prompt_tokens) = (prompt.blocks(), prompt.tokens());
    let conversation = prompt.with_reply(&text).blocks();
    let work = Work { prompt: &blocks, prompt_tokens, conversation: &conversation, answer_tokens: tokens };
    let served = {
        let mut engine = worker.engine();
        engine.serve(work, worker.clock.now())
    };
    let answer = Answer {
        model: body["model"].as_str().unwrap_or_default(),
        text: &text,
        usage: json!({
            "prompt_tokens": prompt_tokens, "completion_tokens": tokens, "total_tokens": prompt_tokens + tokens,
            "prompt_tokens_details": {"cached_tokens": served.cached},
        }),
    };
    if body["stream"] == true {
        let with_usage = body["stream_options"]["include_usage"] == true;
        return answer.stream(wire, worker.clock, served, with_usage).await;
    }
    worker.clock.until(served.end).await;
    send(wire, 200, "application/json", &answer.whole().to_string()).await
}

/// An answer to a chat.
struct Answer<'a> {
    model: &'a str,
    text: &'a str,
    usage: Value,
}

impl Answer<'_> {
    fn whole(&self) -> Value {
        json!({
            "id": "chatcmpl-1", "object": "chat.completion", "created": 1_700_000_000, "model": self.model,
            "choices": [{"index": 0, "message": {"role": "assistant", "content": self.text}, "finish_reason": "stop"}],
            "usage": self.usage,
        })
    }

    fn event(&self, choices: &Value, usage: &Value) -> String {
        let mut event = json!({
            "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_700_000_000, "model": self.model,
            "choices": choices,
        });
        if !usage.is_null() {
            event["usage"] = usage.clone();
        }
        format!("data: {event}\n\n")
    }

    fn piece(&self, text: &str, reason: &Value) -> String {
        let delta = json!({"role": "assistant", "content": text});
        self.event(&json!([{"index": 0, "delta": delta, "finish_reason": reason}]), &Value::Null)
    }

    /// Each piece when its last token is there.
    async fn stream(
        &self,
        wire: &mut BufReader<TcpStream>,
        clock: Clock,
        served: Served,
        with_usage: bool,
    ) -> io::Result<()> {
        clock.until(served.first).await;
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n";
        let (first, rest) = self.text.split_at(TOKEN.min(self.text.len()));
        let first = format!("{head}{}", chunk(&self.piece(first, &Value::Null)));
        wire.write_all(first.as_bytes()).await?;
        wire.flush().await?;
        let mut sent = 0;
        for piece in rest.as_bytes().chunks(EVENT * TOKEN) {
            sent += piece.len();
            let share = sent as f64 / rest.len() as f64;
            clock.until(served.first + ((served.end - served.first) as f64 * share) as Micros).await;
            let text = self.piece(&String::from_utf8_lossy(piece), &Value::Null);
            wire.write_all(chunk(&text).as_bytes()).await?;
            wire.flush().await?;
        }
        let mut last = chunk(&self.piece("", &json!("stop")));
        if with_usage {
            last.push_str(&chunk(&self.event(&json!([]), &self.usage)));
        }
        last.push_str(&chunk(crate::DONE));
        last.push_str("0\r\n\r\n");
        wire.write_all(last.as_bytes()).await?;
        wire.flush().await
    }
}

fn chunk(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}

async fn send(wire: &mut BufReader<TcpStream>, status: u16, kind: &str, body: &str) -> io::Result<()> {
    let length = body.len();
    let head = format!("HTTP/1.1 {status} OK\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\r\n");
    wire.write_all(format!("{head}{body}").as_bytes()).await?;
    wire.flush().await
}

fn models() -> Value {
    json!({"object": "list", "data": [{"id": "m", "object": "model", "created": 1, "owned_by": "vllm"}]})
}

/// The metrics of vLLM that tell how the prefix cache does.
fn metrics(worker: &Worker) -> String {
    let Counters { requests, prompt_tokens, cached_tokens, .. } = worker.engine().counters();
    format!(
        "vllm:prefix_cache_queries_total{{model_name=\"m\"}} {prompt_tokens}\nvllm:prefix_cache_hits_total{{model_name=\"m\"}} {cached_tokens}\nvllm:request_success_total{{model_name=\"m\"}} {requests}\n"
    )
}
