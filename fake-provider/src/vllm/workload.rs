//! Clients of a fleet: applications with system prompts, and conversations that grow.
//!
//! Conversations begin at random (Poisson), and each turn comes a pause after the answer of the turn
//! before would have ended on an idle worker, however fast the fleet is. So a seed means the same
//! requests at the same times for every way of balancing.

use std::sync::Arc;

use serde_json::json;

use super::engine::{Model, Work};
use super::prompt::{Prompt, TOKEN_BYTES, reply, words};
use super::scenario::{Lengths, Scenario};
use super::{BlockHash, Micros, random};

/// A conversation ends before a prompt that is longer.
const LONGEST_PROMPT: usize = 8_000;

type Message = (&'static str, Arc<str>);

/// A request: the messages of a conversation up to one of the user's.
#[derive(Clone, Copy, Debug)]
pub struct Turn {
    /// When it is sent.
    pub at: Micros,
    /// The number of the conversation.
    pub session: usize,
    /// How many messages it sends.
    messages: usize,
    /// Tokens of the answer.
    pub answer: usize,
}

/// The blocks of a turn, for a simulated worker.
#[derive(Clone, Debug)]
pub struct Blocks {
    prompt: Vec<BlockHash>,
    tokens: usize,
    conversation: Vec<BlockHash>,
    answer: usize,
}

impl Blocks {
    /// What a worker needs to know.
    pub fn work(&self) -> Work<'_> {
        Work {
            prompt: &self.prompt,
            prompt_tokens: self.tokens,
            conversation: &self.conversation,
            answer_tokens: self.answer,
        }
    }
}

/// All requests of a scenario, in the order of time.
#[derive(Clone, Debug)]
pub struct Workload {
    sessions: Vec<Vec<Message>>,
    /// The requests.
    pub turns: Vec<Turn>,
}

impl Workload {
    /// Until a time, at `load` times the scenario's rate, for workers of this speed.
    pub fn new(scenario: &Scenario, load: f64, until: Micros, model: &Model, seed: u64) -> Self {
        let mut dice = Dice(seed);
        let systems: Vec<Arc<str>> =
            (0..scenario.applications).map(|_| dice.text(&scenario.system)).collect();
        let shares: Vec<f64> = (1..=scenario.applications).map(|n| (n as f64).powf(-scenario.zipf)).collect();
        let mut workload = Self { sessions: Vec::new(), turns: Vec::new() };
        let mut now = 0;
        while now < until {
            let system = match systems.get(dice.among(&shares)) {
                Some(system) => Arc::clone(system),
                None => dice.text(&scenario.system),
            };
            workload.converse(scenario, system, now, until, model, &mut dice);
            now += seconds(dice.exponential(scenario.turns / (scenario.rate * load)));
        }
        workload.turns.sort_by_key(|turn| (turn.at, turn.session));
        workload
    }

    /// Adds a conversation that begins at `at`.
    fn converse(
        &mut self,
        scenario: &Scenario,
        system: Arc<str>,
        mut at: Micros,
        until: Micros,
        model: &Model,
        dice: &mut Dice,
    ) {
        let session = self.sessions.len();
        let mut messages = vec![("system", system), ("user", dice.text(&scenario.first))];
        loop {
            let answer = dice.length(&scenario.answer);
            let bytes: usize = messages.iter().map(|(_, text)| text.len()).sum();
            if at >= until || bytes > LONGEST_PROMPT * TOKEN_BYTES {
                break;
            }
            self.turns.push(Turn { at, session, messages: messages.len(), answer });
            if dice.fraction() * scenario.turns < 1.0 {
                break;
            }
            let (least, beyond) = scenario.pause;
            at += model.decode_time(answer) + seconds(least + dice.exponential(beyond));
            let said = messages.last().map(|(_, text)| reply(text, answer)).unwrap_or_default();
            messages.push(("assistant", said.into()));
            messages.push(("user", dice.text(&scenario.later)));
        }
        self.sessions.push(messages);
    }

    fn messages(&self, turn: &Turn) -> &[Message] {
        &self.sessions[turn.session][..turn.messages]
    }

    /// The body of a turn's request.
    pub fn body(&self, turn: &Turn, model: &str) -> String {
        let message = |(role, text): &Message| json!({"role": role, "content": &**text});
        let messages: Vec<_> = self.messages(turn).iter().map(message).collect();
        json!({"model": model, "messages": messages, "max_tokens": turn.answer, "stream": true}).to_string()
    }

    /// The blocks of a turn's prompt.
    pub fn blocks(&self, turn: &Turn) -> Blocks {
        let messages = self.messages(turn);
        let prompt = prompt(messages);
        let (blocks, tokens) = (prompt.blocks(), prompt.tokens());
        let said = messages.last().map(|(_, text)| reply(text, turn.answer)).unwrap_or_default();
        let conversation = prompt.with_reply(&said).blocks();
        Blocks { prompt: blocks, tokens, conversation, answer: turn.answer }
    }

    /// The texts of a turn, each with its role.
    pub fn texts(&self, turn: &Turn) -> impl Iterator<Item = (&str, &str)> {
        self.messages(turn).iter().map(|(role, text)| (*role, &**text))
    }
}

fn prompt(messages: &[Message]) -> Prompt {
    Prompt::of(messages.iter().map(|(role, text)| (*role, &**text)))
}

fn seconds(seconds: f64) -> Micros {
    (seconds * 1e6).round() as Micros
}

/// Chance, by a seed.
struct Dice(u64);

impl Dice {
    fn fraction(&mut self) -> f64 {
        (random(&mut self.0) >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn exponential(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.fraction()).ln()
    }

    fn length(&mut self, lengths: &Lengths) -> usize {
        let radius = (-2.0 * (1.0 - self.fraction()).ln()).sqrt();
        let normal = radius * (std::f64::consts::TAU * self.fraction()).cos();
        let tokens = lengths.median * (lengths.spread * normal).exp();
        (tokens.round() as usize).clamp(lengths.least, lengths.most)
    }

    fn text(&mut self, lengths: &Lengths) -> Arc<str> {
        let tokens = self.length(lengths);
        words(random(&mut self.0), tokens).into()
    }

    /// An index, by these shares of any sum.
    fn among(&mut self, shares: &[f64]) -> usize {
        let mut left = self.fraction() * shares.iter().sum::<f64>();
        let before = shares.iter().take_while(|share| {
            left -= **share;
            left >= 0.0
        });
        before.count().min(shares.len().saturating_sub(1))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::{Scenario, Workload};
    use crate::vllm::{Model, Prompt};

    const MINUTES: u64 = 5 * 60_000_000;

    fn workload(scenario: &Scenario) -> Workload {
        Workload::new(scenario, 1.0, MINUTES, &Model::A100_8B, 7)
    }

    #[test]
    fn a_seed_means_the_same_requests_at_the_same_times() {
        let (one, same) = (workload(&Scenario::AGENTS), workload(&Scenario::AGENTS));
        let other = Workload::new(&Scenario::AGENTS, 1.0, MINUTES, &Model::A100_8B, 8);
        let all = |workload: &Workload| -> Vec<_> {
            workload.turns.iter().take(50).map(|turn| (turn.at, workload.body(turn, "m"))).collect()
        };
        assert_eq!(all(&one), all(&same));
        assert_ne!(all(&one), all(&other));
    }

    #[test]
    fn turns_come_in_the_order_of_time_and_about_as_often_as_the_scenario_says() {
        for scenario in Scenario::ALL {
            let workload = workload(&scenario);
            assert!(workload.turns.is_sorted_by_key(|turn| turn.at), "{}", scenario.name);
            // The last minutes: conversations have to begin before they can have a last turn.
            let late = workload.turns.iter().filter(|turn| turn.at >= MINUTES / 5 * 3).count();
            let rate = late as f64 / (MINUTES as f64 / 2.5e6);
            assert!((rate / scenario.rate - 1.0).abs() < 0.25, "{}: {rate} a second", scenario.name);
        }
    }

    #[test]
    fn prompts_have_one_to_eight_thousand_tokens_for_the_most_part() {
        for scenario in Scenario::ALL {
            let workload = workload(&scenario);
            let mut tokens: Vec<_> =
                workload.turns.iter().map(|turn| Prompt::of(workload.texts(turn)).tokens()).collect();
            tokens.sort_unstable();
            let at = |share: f64| tokens[(tokens.len() as f64 * share) as usize];
            assert!((1_000..6_000).contains(&at(0.5)), "{}: median {}", scenario.name, at(0.5));
            assert!(at(0.999) <= 8_200, "{}: {}", scenario.name, at(0.999));
        }
    }

    #[test]
    fn a_turn_repeats_the_conversation_so_far_with_the_replies_of_the_model() {
        let workload = workload(&Scenario::CHAT);
        let mut last = HashMap::new();
        let mut later_turns = 0;
        for turn in &workload.turns {
            let blocks = workload.blocks(turn);
            if let Some(before) = last.insert(turn.session, blocks.conversation) {
                assert!(blocks.prompt.starts_with(&before));
                later_turns += 1;
            }
        }
        assert!(later_turns * 2 > workload.turns.len(), "{later_turns} of {}", workload.turns.len());
    }

    #[test]
    fn applications_share_system_prompts_and_unique_requests_share_nothing() {
        let systems = |scenario: &Scenario| {
            let workload = workload(scenario);
            let mut counts = HashMap::<String, usize>::new();
            for turn in &workload.turns {
                let (_, system) = workload.texts(turn).next().unwrap();
                *counts.entry(system.to_owned()).or_default() += 1;
            }
            (counts.len(), workload.turns.len())
        };
        assert_eq!(systems(&Scenario::CHAT).0, 12);
        assert_eq!(systems(&Scenario::ONE).0, 1);
        let (different, all) = systems(&Scenario::UNIQUE);
        assert_eq!(different, all);
    }
}
