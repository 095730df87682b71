//! A vLLM worker in time: prompts are computed one after the other, answers beside each other.
//!
//! What is left out: an answer is not slowed down by prompts (vLLM computes them in chunks between
//! the steps of answers), and a request never waits for room in the cache.

use super::Micros;
use super::cache::{BLOCK_TOKENS, BlockHash, PrefixCache};

/// How fast a worker is.
#[derive(Clone, Copy, Debug)]
pub struct Model {
    /// Tokens of a prompt per second, of those that are not cached.
    pub prefill_rate: f64,
    /// Tokens of an answer per second.
    pub decode_rate: f64,
    /// From the arrival to the first token of a prompt that is cached whole, in microseconds.
    pub overhead: Micros,
    /// Blocks of the cache.
    pub blocks: usize,
}

impl Model {
    /// Llama 3.1 8B in 16 bits on an A100 of 40 GB, in round numbers. A token takes 128 KiB of
    /// cache, so 16 GiB beside the weights hold 131,072.
    pub const A100_8B: Self =
        Self { prefill_rate: 10_000.0, decode_rate: 40.0, overhead: 25_000, blocks: 8_192 };

    /// The time that so many tokens of an answer take.
    pub fn decode_time(&self, tokens: usize) -> Micros {
        micros(tokens as f64 / self.decode_rate)
    }
}

/// What a worker did since it was started.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counters {
    /// Requests for an answer.
    pub requests: u64,
    /// Tokens of prompts.
    pub prompt_tokens: u64,
    /// Those of them that were cached.
    pub cached_tokens: u64,
    /// The sum of the times from arrival to end, in microseconds.
    pub in_flight: Micros,
    /// The time in which prompts were computed, in microseconds.
    pub prefill: Micros,
}

impl Counters {
    /// What was counted since then.
    pub fn since(self, earlier: Self) -> Self {
        Self {
            requests: self.requests - earlier.requests,
            prompt_tokens: self.prompt_tokens - earlier.prompt_tokens,
            cached_tokens: self.cached_tokens - earlier.cached_tokens,
            in_flight: self.in_flight - earlier.in_flight,
            prefill: self.prefill - earlier.prefill,
        }
    }
}

/// How a request is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Served {
    /// Tokens of the prompt that were cached.
    pub cached: usize,
    /// When the first token is sent.
    pub first: Micros,
    /// When the last token is sent.
    pub end: Micros,
}

/// A request as a worker knows it.
#[derive(Clone, Copy, Debug)]
pub struct Work<'a> {
    /// The blocks of the prompt.
    pub prompt: &'a [BlockHash],
    /// Its tokens.
    pub prompt_tokens: usize,
    /// The blocks of the prompt and the answer.
    pub conversation: &'a [BlockHash],
    /// Tokens of the answer.
    pub answer_tokens: usize,
}

/// A worker. Requests must arrive in the order of time.
#[derive(Clone, Debug)]
pub struct Engine {
    model: Model,
    cache: PrefixCache,
    /// When all prompts so far are computed.
    prefilled: Micros,
    counters: Counters,
}

impl Engine {
    /// A worker without work.
    pub fn new(model: Model) -> Self {
        let cache = PrefixCache::new(model.blocks);
        Self { model, cache, prefilled: 0, counters: Counters::default() }
    }

    /// Serves a request that arrives now. The prompts before it in the queue are computed before
    /// its own, so their blocks count as cached.
    pub fn serve(&mut self, work: Work<'_>, now: Micros) -> Served {
        // The last token is always computed: vLLM needs its output.
        let most = work.prompt_tokens.saturating_sub(1) / BLOCK_TOKENS;
        let cached = self.cache.known(work.prompt).min(most) * BLOCK_TOKENS;
        let prefill = micros((work.prompt_tokens - cached) as f64 / self.model.prefill_rate);
        self.prefilled = self.prefilled.max(now) + prefill;
        let first = self.prefilled + self.model.overhead;
        let end = first + self.model.decode_time(work.answer_tokens.saturating_sub(1));
        self.cache.hold(work.conversation, end);
        self.counters.requests += 1;
        self.counters.prompt_tokens += work.prompt_tokens as u64;
        self.counters.cached_tokens += cached as u64;
        self.counters.in_flight += end - now;
        self.counters.prefill += prefill;
        Served { cached, first, end }
    }

    /// What it did so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// The number of its cached blocks.
    pub fn cached_blocks(&self) -> usize {
        self.cache.len()
    }
}

fn micros(seconds: f64) -> Micros {
    (seconds * 1e6).round() as Micros
}

#[cfg(test)]
mod tests {
    use super::{Engine, Model, Served, Work};

    const MODEL: Model = Model { prefill_rate: 1_000.0, decode_rate: 10.0, overhead: 5_000, blocks: 100 };

    fn work(blocks: &[u64], answer_tokens: usize) -> Work<'_> {
        Work { prompt: blocks, prompt_tokens: blocks.len() * 16, conversation: blocks, answer_tokens }
    }

    #[test]
    fn the_first_token_comes_after_the_tokens_that_are_not_cached() {
        let mut engine = Engine::new(MODEL);
        let first = engine.serve(work(&[1, 2, 3], 11), 0);
        assert_eq!(first, Served { cached: 0, first: 53_000, end: 1_053_000 });
        let longer = engine.serve(work(&[1, 2, 3, 4], 1), 2_000_000);
        assert_eq!(longer, Served { cached: 48, first: 2_021_000, end: 2_021_000 });
    }

    #[test]
    fn the_last_block_of_a_prompt_that_is_cached_whole_is_computed_again() {
        let mut engine = Engine::new(MODEL);
        engine.serve(work(&[1, 2, 3], 1), 0);
        assert_eq!(engine.serve(work(&[1, 2, 3], 1), 1_000_000).cached, 32);
    }

    #[test]
    fn prompts_wait_for_those_before_them_and_answers_do_not() {
        let mut engine = Engine::new(MODEL);
        engine.serve(work(&[1, 2, 3, 4, 5], 1_000), 0);
        let second = engine.serve(work(&[11, 12], 1), 10_000);
        assert_eq!(second.first, 80_000 + 32_000 + 5_000);
    }

    #[test]
    fn counters_tell_what_was_cached_and_how_long_requests_took() {
        let mut engine = Engine::new(MODEL);
        engine.serve(work(&[1, 2, 3], 11), 0);
        let before = engine.counters();
        engine.serve(work(&[1, 2, 3, 4], 1), 2_000_000);
        let counters = engine.counters().since(before);
        assert_eq!((counters.requests, counters.prompt_tokens, counters.cached_tokens), (1, 64, 48));
        assert_eq!((counters.in_flight, counters.prefill), (21_000, 16_000));
    }

    #[test]
    fn a_worker_forgets_prompts_that_do_not_fit_beside_newer_ones() {
        let mut engine = Engine::new(Model { blocks: 4, ..MODEL });
        engine.serve(work(&[1, 2, 3], 1), 0);
        engine.serve(work(&[11, 12, 13], 1), 1_000_000);
        assert_eq!(engine.cached_blocks(), 4);
        assert_eq!(engine.serve(work(&[1, 2, 3], 1), 2_000_000).cached, 16);
    }
}
