//! What happens to the product meanwhile: reloads, Redis that fails, VMs that trap.

use std::fmt;
use std::time::{Duration, Instant};

use fastrand::Rng;
use tokio::time::{sleep, sleep_until};

use super::ledger::Ledger;
use super::log_tail::LogTail;
use super::plan::{CONFIGURATIONS, bad_configuration, configuration};
use super::{INSTANCES, TRAPPING, fork};
use crate::{Balancer, Redis, raw, within};

/// Twenty times what a reload takes.
const RELOAD: Duration = Duration::from_secs(20);
const KEPT: &str = "keeping the previous configuration";
/// The response to a request that traps: Envoy's, or the module's.
fn trapped(balancer: &Balancer) -> &'static str {
    if balancer.runs_wasm() { "HTTP/1.1 503 " } else { "HTTP/1.1 500 " }
}

/// How often something happens.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gaps {
    pub(super) reload: Duration,
    pub(super) redis: Duration,
    pub(super) trap: Duration,
    /// No trap in this time before the end of a storm, so that those of before are over then.
    pub(super) after_traps: Duration,
}

/// What the disasters befall.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) redis: Redis,
    pub(super) instances: [Balancer; INSTANCES],
    pub(super) provider: String,
    /// The number of each instance's configuration.
    pub(super) serves: [usize; INSTANCES],
}

/// How often what happened.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Happened {
    pub(super) reloads: usize,
    pub(super) refused_files: usize,
    pub(super) redis_restarts: usize,
    pub(super) redis_freezes: usize,
    pub(super) traps: usize,
}

impl fmt::Display for Happened {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { reloads, refused_files, redis_restarts, redis_freezes, traps } = self;
        write!(
            formatter,
            "{reloads} reloads, {refused_files} refused files, {redis_restarts} restarts and {redis_freezes} freezes of Redis, {traps} traps"
        )
    }
}

impl Stage {
    /// Lets things happen until then. Redis is up at the end.
    pub(super) async fn disasters(
        &mut self,
        seed: &str,
        gaps: Gaps,
        until: Instant,
        ledger: &Ledger,
    ) -> Happened {
        let Self { redis, instances, provider, serves } = self;
        let port = redis.port();
        let random = |what: &str| fork(0, &format!("{seed}/{what}"));
        let ((restarts, freezes), (reloads, refused), traps) = tokio::join!(
            redis_fails(redis, random("redis"), gaps.redis, until),
            files_change(
                (instances, serves),
                (provider, port),
                random("reload"),
                (gaps.reload, until),
                ledger
            ),
            vms_trap(&instances[TRAPPING], random("trap"), (gaps.trap, until - gaps.after_traps), ledger),
        );
        Happened { reloads, refused_files: refused, redis_restarts: restarts, redis_freezes: freezes, traps }
    }
}

/// Waits half of the gap to one and a half of it; false if that is too late.
async fn again(random: &mut Rng, gap: Duration, until: Instant) -> bool {
    let next = Instant::now() + gap.mul_f64(0.5 + random.f64());
    sleep_until(next.min(until).into()).await;
    next < until
}

async fn redis_fails(redis: &mut Redis, mut random: Rng, gap: Duration, until: Instant) -> (usize, usize) {
    let (mut restarts, mut freezes) = (0, 0);
    while again(&mut random, gap, until).await {
        let outage = gap.mul_f64(0.8 * random.f64());
        if random.bool() {
            restarts += 1;
            redis.stop();
            sleep(outage).await;
            redis.restart_empty().await;
        } else {
            freezes += 1;
            redis.freeze();
            sleep(outage).await;
            redis.thaw();
        }
    }
    (restarts, freezes)
}

async fn files_change(
    (instances, serves): (&[Balancer; INSTANCES], &mut [usize; INSTANCES]),
    (provider, redis): (&str, u16),
    mut random: Rng,
    (gap, until): (Duration, Instant),
    ledger: &Ledger,
) -> (usize, usize) {
    let (mut reloads, mut refused) = (0, 0);
    while again(&mut random, gap, until).await {
        let instance = random.usize(..INSTANCES);
        let next = (serves[instance] + random.usize(1..CONFIGURATIONS)) % CONFIGURATIONS;
        let good = configuration(next, provider, redis);
        if random.u32(..5) == 0 {
            refused += 1;
            let bad = bad_configuration(provider, redis);
            change(&instances[instance], &bad, KEPT, ledger).await;
        }
        reloads += 1;
        serves[instance] = next;
        change(&instances[instance], &good, "reloaded (configuration", ledger).await;
    }
    (reloads, refused)
}

/// Replaces the file, and waits for the message about it.
async fn change(balancer: &Balancer, configuration: &str, message: &str, ledger: &Ledger) {
    let mut tail = LogTail::at_end(balancer.log_file());
    balancer.replace_file(configuration);
    if !within(RELOAD, async || tail.lines().iter().any(|line| line.contains(message))).await {
        ledger.fault(format!("no {message:?} within {RELOAD:?}"));
    }
}

async fn vms_trap(
    balancer: &Balancer,
    mut random: Rng,
    (gap, until): (Duration, Instant),
    ledger: &Ledger,
) -> usize {
    let mut traps = 0;
    while again(&mut random, gap, until).await {
        traps += 1;
        let number = ledger.trap(TRAPPING);
        let body = r#"{"model":"refuge","messages":[]}"#;
        let head = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: balancer\r\nx-llm-trap: 1\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let mut socket = raw::connect(balancer.port).await;
        let said = raw::exchange(&mut socket, format!("{head}{body}").as_bytes(), raw::complete).await;
        ledger.trapped(number);
        if !said.starts_with(trapped(balancer)) {
            ledger.fault(format!("a request that traps is answered with {said:?}"));
        }
    }
    traps
}
