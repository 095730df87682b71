//! What a provider does with a request, by chance: from a quick answer to a broken connection.

use std::time::Duration;

use fastrand::Rng;
use serde_json::{Value, json};

use crate::{Answer, DONE, Received};

/// Tokens of the prompt that every answer reports; requests reserve more.
pub(super) const PROMPT_TOKENS: u64 = 8;
/// Tokens of every answer; requests set `max_tokens` to it.
pub(super) const COMPLETION_TOKENS: u64 = 42;
/// Events of a stream, before those that end it.
const EVENTS: usize = 4;

/// How often a deployment fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Climate {
    /// Never.
    Fair,
    /// One attempt in twelve fails in a way that is sent elsewhere at once.
    Mild,
    /// Two attempts in five fail, in every way there is.
    Stormy,
}

/// What the provider does with one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Act {
    Answer {
        after: Duration,
        every: Duration,
    },
    /// An error status, with `retry-after` or without.
    Status(u16, Option<&'static str>),
    /// No HTTP.
    Garbage,
    /// 200 with a body that is cut off, in a message that is complete.
    BrokenJson,
    Stall,
    Reset,
    Close,
    StallAfter(usize),
    ResetAfter(usize),
    CloseAfter(usize),
}

/// What an act means for the client's request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// The client gets a whole response.
    Serves,
    /// The attempt fails before the first byte of a response, so another one can follow.
    Fails,
    /// The response ends after its first bytes, which the client may have.
    BreaksOff,
    /// The response is complete and useless.
    Spoils,
}

impl Act {
    /// The act of one attempt in this climate.
    pub(super) fn draw(climate: Climate, random: &mut Rng) -> Self {
        let fails = match climate {
            Climate::Fair => 0,
            Climate::Mild => 8,
            Climate::Stormy => 40,
        };
        match (random.u32(..100) < fails, climate) {
            (false, _) => Self::draw_answer(random),
            (true, Climate::Stormy) => Self::draw_failure(random),
            (true, _) => [Self::Reset, Self::Close, Self::Status(503, None)][random.usize(..3)].clone(),
        }
    }

    fn draw_answer(random: &mut Rng) -> Self {
        let ms = Duration::from_millis;
        let none = Duration::ZERO;
        match random.u32(..20) {
            0..=14 => Self::Answer { after: none, every: none },
            15..=17 => Self::Answer { after: ms(random.u64(20..400)), every: none },
            // As slowly as 0.2 s between two pieces, far below the timeout.
            _ => Self::Answer { after: none, every: ms(random.u64(20..200)) },
        }
    }

    fn draw_failure(random: &mut Rng) -> Self {
        const RETRY_AFTER: [Option<&str>; 4] = [None, Some("0"), Some("1"), Some("2")];
        const STATUSES: [u16; 6] = [500, 502, 503, 504, 529, 408];
        match random.u32(..40) {
            0..=9 => Self::Status(429, RETRY_AFTER[random.usize(..4)]),
            10..=19 => Self::Status(STATUSES[random.usize(..6)], None),
            20 => Self::Stall,
            21..=24 => Self::Reset,
            25..=27 => Self::Close,
            28..=29 => Self::Garbage,
            30..=31 => Self::BrokenJson,
            32 => Self::StallAfter(random.usize(..3)),
            33..=36 => Self::ResetAfter(random.usize(..3)),
            _ => Self::CloseAfter(random.usize(..3)),
        }
    }

    pub(super) fn effect(&self) -> Effect {
        match self {
            Self::Answer { .. } => Effect::Serves,
            Self::Status(..) | Self::Garbage | Self::Stall | Self::Reset | Self::Close => Effect::Fails,
            Self::StallAfter(0) | Self::ResetAfter(0) | Self::CloseAfter(0) => Effect::Fails,
            Self::StallAfter(_) | Self::ResetAfter(_) | Self::CloseAfter(_) => Effect::BreaksOff,
            Self::BrokenJson => Effect::Spoils,
        }
    }

    /// Whether the connection ends at once, without a byte: if it was reused, the request is sent
    /// again and not counted.
    pub(super) fn ends_at_once(&self) -> bool {
        matches!(self, Self::Reset | Self::Close | Self::ResetAfter(0) | Self::CloseAfter(0))
    }

    pub(super) fn answer(&self, request: &Received, nonce: &str) -> Answer {
        let body = request.json();
        let whole = || content(&body, nonce, request);
        match *self {
            Self::Answer { after, every } => whole().after(after).every(every),
            Self::Status(status, retry_after) => {
                let answer = Answer::status(status);
                retry_after.map_or(answer.clone(), |value| answer.retry_after(value))
            }
            Self::Garbage => Answer::raw("no HTTP\r\n\r\n"),
            Self::BrokenJson => Answer::bytes(r#"{"id":"broken","choices":[{"message":{"content":"bro"#),
            Self::Stall => whole().hang(),
            Self::Reset => whole().reset(),
            Self::Close => whole().close(),
            Self::StallAfter(pieces) => whole().hang_after(pieces),
            Self::ResetAfter(pieces) => whole().reset_after(pieces),
            Self::CloseAfter(pieces) => whole().close_after(pieces),
        }
    }
}

/// A whole response, with the request's nonce as its text.
fn content(body: &Value, nonce: &str, request: &Received) -> Answer {
    let usage = json!({
        "prompt_tokens": PROMPT_TOKENS, "completion_tokens": COMPLETION_TOKENS,
        "total_tokens": PROMPT_TOKENS + COMPLETION_TOKENS,
    });
    let head = json!({"id": format!("chatcmpl-{nonce}"), "created": 1, "model": body["model"]});
    let of = |object: &str, choices: Value, usage: Option<&Value>| {
        let mut value = head.clone();
        (value["object"], value["choices"]) = (json!(object), choices);
        if let Some(usage) = usage {
            value["usage"] = usage.clone();
        }
        value
    };
    if body["stream"] != true {
        let message = json!([{"index": 0, "message": {"role": "assistant", "content": nonce}, "finish_reason": "stop"}]);
        return Answer::bytes(of("chat.completion", message, Some(&usage)).to_string());
    }
    let event = |value: Value| format!("data: {value}\n\n");
    let delta = json!([{"index": 0, "delta": {"content": nonce}, "finish_reason": null}]);
    let mut events = vec![event(of("chat.completion.chunk", delta, None)); EVENTS];
    if request.asks_usage() {
        events.push(event(of("chat.completion.chunk", json!([]), Some(&usage))));
    }
    events.push(DONE.to_owned());
    Answer::pieces(events)
}

#[cfg(test)]
mod tests {
    use super::{Act, Climate, Effect, Rng};

    fn failures(climate: Climate) -> usize {
        let mut random = Rng::with_seed(1);
        let acts = (0..1000).map(|_| Act::draw(climate, &mut random));
        acts.filter(|act| act.effect() != Effect::Serves).count()
    }

    #[test]
    fn fair_weather_never_fails_and_a_storm_does_in_two_cases_of_five() {
        assert_eq!(failures(Climate::Fair), 0);
        assert!((50..120).contains(&failures(Climate::Mild)));
        assert!((350..450).contains(&failures(Climate::Stormy)));
    }

    #[test]
    fn the_same_seed_draws_the_same_acts() {
        let acts = |seed| {
            let mut random = Rng::with_seed(seed);
            (0..100).map(|_| Act::draw(Climate::Stormy, &mut random)).collect::<Vec<_>>()
        };
        assert_eq!(acts(7), acts(7));
        assert_ne!(acts(7), acts(8));
    }
}
