//! Clients that wait for their response, and clients that disconnect before.

use std::net::{IpAddr, Ipv4Addr};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use fastrand::Rng;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::journal::Journal;
use super::ledger::{Abandoned, Ledger, Replied};
use super::plan::{GROUPS, Group, PATIENCE, PATIENCE_IN_TRAP};
use super::verdict::{Observed, Verdict, judge};
use super::weather::COMPLETION_TOKENS;
use super::{INSTANCES, fork};
use crate::{Client, raw};

/// What clients share.
#[derive(Debug)]
pub(super) struct Crowd {
    pub(super) seed: u64,
    pub(super) ports: [u16; INSTANCES],
    pub(super) journal: Arc<Journal>,
    pub(super) ledger: Arc<Ledger>,
    pub(super) stop: AtomicBool,
    /// Of clients that disconnect, so far.
    pub(super) addresses: Arc<AtomicU32>,
    /// Clients that wait; a sixth as many disconnect.
    pub(super) size: usize,
    /// Whether clients wait for Envoy to end a request whose VM trapped.
    pub(super) outlasts_traps: bool,
    /// The mean pause of a client between two requests.
    pub(super) pause: Duration,
}

impl Crowd {
    /// All clients of one storm, until `stop`.
    pub(super) fn spawn(self: &Arc<Self>, storm: usize) -> JoinSet<()> {
        let mut clients = JoinSet::new();
        for number in 0..self.size {
            clients.spawn(Arc::clone(self).waits(storm, number));
        }
        for number in 0..self.size.div_ceil(6) {
            clients.spawn(Arc::clone(self).disconnects(storm, number));
        }
        clients
    }

    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }

    /// An address that no other client has: the access log names it.
    fn own_address(&self) -> IpAddr {
        let number = self.addresses.fetch_add(1, Ordering::Relaxed);
        let [_, high, middle, low] = number.to_be_bytes();
        // 127.0.0.1 is for the others.
        Ipv4Addr::new(127, high + 1, middle, low).into()
    }

    async fn rest(&self, random: &mut Rng) {
        sleep(self.pause.mul_f64(2.0 * random.f64())).await;
    }

    async fn waits(self: Arc<Self>, storm: usize, number: usize) {
        let instance = number % INSTANCES;
        let mut random = fork(self.seed, &format!("client/{storm}/{number}"));
        let port = self.ports[instance];
        let client = if number % 4 == 3 { Client::http2(port) } else { Client::new(port) };
        let mut count = 0;
        while self.goes_on() {
            count += 1;
            let (group, nonce) = (draw(&mut random), format!("c{storm}-{number}-{count}"));
            self.request(&client, instance, group, &nonce, &body(group, &nonce, &mut random)).await;
            self.rest(&mut random).await;
        }
    }

    async fn request(
        &self,
        client: &Client,
        instance: usize,
        group: &'static Group,
        nonce: &str,
        body: &Value,
    ) {
        let begun = Instant::now();
        self.ledger.entries().sent[instance].awaited += 1;
        let observed = self.observe(client, instance, begun, body).await;
        let attempts = self.journal.take(nonce);
        let in_trap = self.ledger.in_trap(instance, begun);
        let verdict = judge(group, nonce, &observed, &attempts, in_trap);
        let stream = body["stream"] == true;
        let about = || {
            let attempts: Vec<_> = attempts.iter().map(ToString::to_string).collect();
            let took = begun.elapsed();
            format!("{nonce} of instance {instance}, stream: {stream}, after {took:?}, attempts {attempts:?}")
        };
        self.ledger.record(group.name, instance, &verdict, &about());
        let mut entries = self.ledger.entries();
        entries.slowest = entries.slowest.max(begun.elapsed().as_millis());
        if let Observed::Reply(reply) = &observed
            && verdict != Verdict::LostToTrap
        {
            let replied = Replied { status: reply.status, in_trap };
            match reply.header("x-litellm-call-id") {
                Some(id) if entries.sent[instance].replies.insert(id.to_owned(), replied).is_none() => {}
                id => entries.fault(format!("x-litellm-call-id is {id:?}; {}", about())),
            }
        }
    }

    async fn observe(&self, client: &Client, instance: usize, begun: Instant, body: &Value) -> Observed {
        let mut response = pin!(client.try_post("/v1/chat/completions", body));
        let mut result = timeout(PATIENCE, &mut response).await;
        if result.is_err() && self.ledger.in_trap(instance, begun) {
            if !self.outlasts_traps {
                return Observed::Left;
            }
            result = timeout(PATIENCE_IN_TRAP.saturating_sub(PATIENCE), response).await;
        }
        match result {
            Err(_) => Observed::Hung,
            Ok(Err(error)) => Observed::NoReply(format!("{error:?}")),
            Ok(Ok(reply)) => Observed::Reply(reply),
        }
    }

    async fn disconnects(self: Arc<Self>, storm: usize, number: usize) {
        let instance = number % INSTANCES;
        let mut random = fork(self.seed, &format!("leaver/{storm}/{number}"));
        let mut count = 0;
        while self.goes_on() {
            count += 1;
            let nonce = format!("d{storm}-{number}-{count}");
            let body = body(draw(&mut random), &nonce, &mut random).to_string();
            let begun = Instant::now();
            let address = self.own_address();
            let stage = random.u32(..5);
            let after = Duration::from_millis(random.u64(..500));
            let about = format!("{nonce}, stage {stage}, after {after:?}");
            let abandoned = Abandoned { nonce, about: about.clone(), in_trap: false };
            self.ledger.entries().abandon(instance, address, abandoned);
            let left = disconnect((address, self.ports[instance]), &body, stage, after);
            let left = timeout(PATIENCE, left).await;
            if !matches!(left, Ok(Ok(()))) {
                self.ledger.fault(format!("instance {instance} did not take {about}: {left:?}"));
            }
            let in_trap = self.ledger.in_trap(instance, begun);
            if let Some(abandoned) = self.ledger.entries().sent[instance].unlogged.get_mut(&address) {
                abandoned.in_trap = in_trap;
            }
            self.rest(&mut random).await;
        }
    }
}

/// Sends a request, in part or as a whole, and closes the connection at this stage of it.
async fn disconnect(
    (from, port): (IpAddr, u16),
    body: &str,
    stage: u32,
    after: Duration,
) -> std::io::Result<()> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((from, 0).into())?;
    let mut socket = socket.connect((Ipv4Addr::LOCALHOST, port).into()).await?;
    let request = raw::chat(body, Some(body.len()));
    let sent = match stage {
        // Its headers, and half of its body.
        0 => request.len() - body.len(),
        1 => request.len() - body.len() / 2,
        _ => request.len(),
    };
    socket.write_all(&request[..sent]).await?;
    if stage == 4 {
        // The first bytes of the response, if it comes in time.
        let _ = timeout(after, socket.read(&mut [0; 400])).await;
    } else {
        sleep(after).await;
    }
    socket.shutdown().await
}

fn draw(random: &mut Rng) -> &'static Group {
    let mut place = random.u32(..GROUPS.iter().map(|group| group.weight).sum::<u32>());
    for group in &GROUPS {
        match place.checked_sub(group.weight) {
            Some(rest) => place = rest,
            None => return group,
        }
    }
    &GROUPS[0]
}

/// A chat: one in three streams, some are large.
fn body(group: &Group, nonce: &str, random: &mut Rng) -> Value {
    let size = match random.u32(..400) {
        // What these take of a limit is held against it.
        _ if group.name == "tokens" => 0,
        0 => 1 << 20,
        1..=12 => 100_000,
        13..=100 => 2_000,
        _ => 0,
    };
    let mut messages = vec![json!({"role": "user", "content": "hi"})];
    if size > 0 {
        messages.insert(0, json!({"role": "system", "content": "0123456789abcdef".repeat(size / 16)}));
    }
    let mut body =
        json!({"model": group.name, "messages": messages, "user": nonce, "max_tokens": COMPLETION_TOKENS});
    if random.u32(..3) == 0 {
        body["stream"] = json!(true);
    }
    body
}
