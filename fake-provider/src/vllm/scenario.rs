//! What clients of a fleet do: how many applications, how long their prompts are, how often they ask.

/// A log-normal length in tokens.
#[derive(Clone, Copy, Debug)]
pub struct Lengths {
    pub(super) median: f64,
    /// The deviation of the logarithm.
    pub(super) spread: f64,
    pub(super) least: usize,
    pub(super) most: usize,
}

/// What clients do.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// In one word.
    pub name: &'static str,
    /// In a few words.
    pub what: &'static str,
    /// Applications, each with a system prompt of its own; 0 gives every conversation its own.
    pub applications: usize,
    /// The n-th application has a share in proportion to 1 / n to the power of this.
    pub zipf: f64,
    /// Tokens of a system prompt, tools included.
    pub system: Lengths,
    /// Tokens of the first message of a user.
    pub first: Lengths,
    /// Tokens of later messages.
    pub later: Lengths,
    /// Tokens of an answer.
    pub answer: Lengths,
    /// The average number of turns (geometric), of which long prompts cut off some.
    pub turns: f64,
    /// Seconds from an answer to the next turn: at least, and on average beyond that.
    pub pause: (f64, f64),
    /// Turns per second of the whole fleet.
    pub rate: f64,
}

const fn lengths(median: f64, spread: f64, least: usize, most: usize) -> Lengths {
    Lengths { median, spread, least, most }
}

impl Scenario {
    /// People that talk to a dozen assistants.
    pub const CHAT: Self = Self {
        name: "chat",
        what: "12 assistants, conversations of 6 turns on average",
        applications: 12,
        zipf: 1.0,
        system: lengths(1_000.0, 0.7, 200, 4_000),
        first: lengths(200.0, 1.0, 20, 3_000),
        later: lengths(60.0, 1.0, 10, 2_000),
        answer: lengths(250.0, 0.7, 20, 1_000),
        turns: 6.0,
        pause: (5.0, 20.0),
        rate: 20.0,
    };
    /// Agents that call tools in quick succession.
    pub const AGENTS: Self = Self {
        name: "agents",
        what: "4 agents with long instructions, 8 quick steps on average",
        applications: 4,
        zipf: 1.0,
        system: lengths(2_500.0, 0.3, 1_500, 4_000),
        first: lengths(300.0, 0.8, 50, 2_000),
        later: lengths(200.0, 0.8, 20, 2_000),
        answer: lengths(80.0, 0.5, 20, 400),
        turns: 8.0,
        pause: (0.3, 1.5),
        rate: 24.0,
    };
    /// Many templates, each request by itself.
    pub const TEMPLATES: Self = Self {
        name: "templates",
        what: "200 prompt templates, single requests",
        applications: 200,
        zipf: 0.8,
        system: lengths(2_000.0, 0.5, 500, 6_000),
        first: lengths(300.0, 0.7, 20, 2_000),
        later: lengths(60.0, 1.0, 10, 2_000),
        answer: lengths(100.0, 0.5, 10, 400),
        turns: 1.0,
        pause: (0.0, 1.0),
        rate: 24.0,
    };
    /// One application, each request by itself.
    pub const ONE: Self = Self {
        name: "one",
        what: "1 application with long instructions, single requests",
        applications: 1,
        zipf: 0.0,
        system: lengths(4_000.0, 0.0, 4_000, 4_000),
        ..Self::TEMPLATES
    };
    /// Nothing in common.
    pub const UNIQUE: Self = Self {
        name: "unique",
        what: "prompts that share nothing, single requests",
        applications: 0,
        zipf: 0.0,
        system: lengths(1_500.0, 0.6, 300, 6_000),
        rate: 18.0,
        ..Self::TEMPLATES
    };
    /// All of them.
    pub const ALL: [Self; 5] = [Self::CHAT, Self::AGENTS, Self::TEMPLATES, Self::ONE, Self::UNIQUE];

    /// The scenario of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scenario| scenario.name == name)
    }
}
