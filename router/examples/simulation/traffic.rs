//! What clients ask, and the luck of every attempt: the same for whoever balances it.
//!
//! Requests arrive at random (Poisson); a quarter of the time, in bursts of ten seconds on average, they come twice as
//! often. On average the fleet is used to six tenths of what it can carry. Answers are of log-normal length with a median
//! of 200 tokens, a mean of 275 and a hundredth above 1,290.

use llm_balancer_router::{Random, SplitMix};

/// Microseconds since the beginning.
pub type Micros = u64;
pub const SECOND: Micros = 1_000_000;

/// How much of what the fleet can carry is asked for, on average.
pub const UTILISATION: f64 = 0.6;
/// Tokens of an answer: median, and the deviation of the logarithm.
const MEDIAN: f64 = 200.0;
const SPREAD: f64 = 0.8;
/// The most that a request asks for.
const LONGEST: f64 = 4096.0;
/// Seconds of calm and of bursts, on average, and how much more comes in a burst.
const CALM: f64 = 30.0;
const BURST: f64 = 10.0;
const TIMES: f64 = 2.0;

/// Tokens of an answer, on average.
pub fn mean_tokens() -> f64 {
    MEDIAN * (SPREAD * SPREAD / 2.0).exp()
}

/// A client's request.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    pub at: Micros,
    /// Of its answer.
    pub tokens: f64,
}

/// All requests of a time, at so many a second on average.
pub fn requests(rate: f64, until: Micros, seed: u64) -> Vec<Request> {
    let mut random = SplitMix::new(seed);
    let calm = rate * (CALM + BURST) / (CALM + BURST * TIMES);
    let (mut now, mut is_burst, mut turns) = (0.0, false, exponential(CALM, &mut random));
    let mut all = Vec::new();
    while now < until as f64 / SECOND as f64 {
        let gap = exponential(1.0 / if is_burst { calm * TIMES } else { calm }, &mut random);
        if now + gap > turns {
            now = turns;
            is_burst = !is_burst;
            turns += exponential(if is_burst { BURST } else { CALM }, &mut random);
            continue;
        }
        now += gap;
        let tokens = (MEDIAN * (SPREAD * normal(&mut random)).exp()).clamp(1.0, LONGEST).round();
        all.push(Request { at: (now * SECOND as f64) as Micros, tokens });
    }
    all
}

/// The luck of one attempt.
#[derive(Clone, Copy, Debug)]
pub struct Luck {
    /// Decides whether it fails.
    pub fails: f64,
    /// How much longer than usual the first token takes.
    pub first: f64,
    /// On the network, in both directions.
    pub network: Micros,
}

/// Depends on the request, the attempt and the deployment alone.
pub fn luck(seed: u64, request: usize, attempt: u64, deployment: usize) -> Luck {
    let mut random = SplitMix::new(seed ^ ((request as u64) << 16 | attempt << 8 | deployment as u64));
    random.bits();
    // One packet in a hundred is lost and sent again.
    let lost = if random.fraction() < 0.01 { 0.25 } else { 0.0 };
    Luck {
        fails: random.fraction(),
        first: (0.3 * normal(&mut random)).exp(),
        network: ((0.01 + exponential(0.01, &mut random) + lost) * SECOND as f64) as Micros,
    }
}

fn exponential(mean: f64, random: &mut dyn Random) -> f64 {
    -mean * (1.0 - random.fraction()).ln()
}

fn normal(random: &mut dyn Random) -> f64 {
    let radius = (-2.0 * (1.0 - random.fraction()).ln()).sqrt();
    radius * (std::f64::consts::TAU * random.fraction()).cos()
}
