//! The token counts of a response, found in its bytes as they pass: in a JSON document or in an
//! event stream. Where the chunks are cut makes no difference. Bytes are copied only where a chunk
//! ends within the `usage` object.

mod json_scanner;

use std::sync::LazyLock;

use json_scanner::JsonScanner;
use memchr::memmem::Finder;
use memchr::{memchr, memchr_iter};

use crate::http::json::{Object, uint};
use crate::http::sse::{self, Piece, Splitter};

/// The highest count that is read. A higher one is no count of tokens: in a metric, whose numbers
/// have 53 bits, it would hide all that are added later.
const MAX_COUNT: u64 = u32::MAX as u64;

/// The tokens of one request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// `prompt_tokens` or `input_tokens`; at Anthropic with the tokens that a cache was given and
    /// those that it had.
    pub prompt: u64,
    /// `completion_tokens` or `output_tokens`, and those of reasoning that are in the total alone.
    pub completion: u64,
    /// The tokens that limits count: `total_tokens`, or the sum of the two; at Anthropic without
    /// those that a cache had, which its own limits leave out.
    pub total: u64,
}

/// The counts of a `usage` object. Those of its prompt may be missing or 0 where an earlier one of
/// the same stream has them, as in Anthropic's `message_delta`.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    prompt: Option<u64>,
    /// `cache_creation_input_tokens`, which Anthropic's `input_tokens` lack.
    cache_writes: Option<u64>,
    /// `cache_read_input_tokens`, likewise.
    cache_reads: Option<u64>,
    completion: Option<u64>,
    total: Option<u64>,
}

impl Counts {
    /// Reads a `usage` object; `None` where it has no count of tokens, as for transcriptions
    /// counted in seconds.
    fn parse(object: &[u8]) -> Option<Self> {
        let object = Object::parse(object).ok()?;
        let tokens = |name: &str| object.present(name).and_then(uint).filter(|count| *count <= MAX_COUNT);
        // Chat completions and embeddings use the first names, the other APIs the second.
        let counts = Self {
            prompt: tokens("prompt_tokens").or_else(|| tokens("input_tokens")),
            completion: tokens("completion_tokens").or_else(|| tokens("output_tokens")),
            total: tokens("total_tokens"),
            ..Self::default()
        };
        counts.prompt.or(counts.completion).or(counts.total)?;
        // OpenAI's count of a prompt has them already, and proxies add them beside it.
        if counts.total.is_some() || object.present("prompt_tokens").is_some() {
            return Some(counts);
        }
        let (cache_writes, cache_reads) =
            (tokens("cache_creation_input_tokens"), tokens("cache_read_input_tokens"));
        Some(Self { cache_writes, cache_reads, ..counts })
    }

    /// The counts, or else those of an earlier object. A 0 is no count where the earlier one has one:
    /// gateways write it for what they do not know any more.
    fn or(self, earlier: Self) -> Self {
        let known = |count: Option<u64>| count.filter(|count| *count > 0);
        let prompt = known(self.prompt).or(earlier.prompt).or(self.prompt);
        let total = match self.total {
            Some(0) if known(self.completion).is_none() => earlier.total.or(self.total),
            Some(0) => None,
            // It lacks the prompt, too.
            Some(total) if self.prompt == Some(0) => Some(total.saturating_add(prompt.unwrap_or_default())),
            total => total,
        };
        Self {
            prompt,
            cache_writes: known(self.cache_writes).or(earlier.cache_writes),
            cache_reads: known(self.cache_reads).or(earlier.cache_reads),
            completion: self
                .completion
                .map(|count| if count > 0 { count } else { earlier.completion.unwrap_or_default() }),
            total,
        }
    }

    fn usage(self) -> Usage {
        // Voyage's embeddings and Jina's reranking have the sum alone, of a prompt without a completion.
        let sum = self.total.filter(|_| self.completion.is_none());
        let [prompt, cache_writes, cache_reads, completion] =
            [self.prompt.or(sum), self.cache_writes, self.cache_reads, self.completion]
                .map(Option::unwrap_or_default);
        let prompt = prompt.saturating_add(cache_writes);
        // xAI and Gemini count reasoning in the total alone. What completes nothing has no completion.
        let beside_prompt = match (self.total, self.prompt, self.completion) {
            (Some(total), Some(prompt), Some(_)) => total.saturating_sub(prompt),
            _ => 0,
        };
        Usage {
            prompt: prompt.saturating_add(cache_reads),
            completion: completion.max(beside_prompt),
            total: self.total.unwrap_or(prompt.saturating_add(completion)),
        }
    }
}

/// Finds `usage` in a response that arrives in chunks.
#[derive(Clone, Debug, Default)]
pub struct UsageScanner {
    format: Format,
    json: JsonScanner,
    events: u64,
}

/// The format of a response. Blanks and a byte order mark may precede either.
#[derive(Clone, Debug)]
enum Format {
    /// Only those have arrived.
    Unknown(Splitter),
    /// It begins with an object or a list.
    Document,
    /// It begins with anything else.
    Events(Splitter, Field),
}

impl Default for Format {
    fn default() -> Self {
        Self::Unknown(Splitter::default())
    }
}

impl UsageScanner {
    /// A scanner at the start of a response.
    pub fn new() -> Self {
        Self::default()
    }

    /// The last `usage` so far, since that one counts the whole response, or all of it but the
    /// prompt.
    pub fn usage(&self) -> Option<Usage> {
        self.json.found().map(Counts::usage)
    }

    /// The events of a stream so far, comments included.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// Whether it is a JSON document so far, and lacks its end.
    pub fn is_unfinished_document(&self) -> bool {
        matches!(self.format, Format::Document) && self.json.is_unfinished()
    }

    /// Reads the next chunk.
    pub fn feed(&mut self, chunk: &[u8]) {
        if let Format::Unknown(splitter) = &mut self.format {
            match sse::first_byte(chunk) {
                None => {
                    return std::iter::successors(Some(chunk), |rest| Some(splitter.next(rest)?.1))
                        .for_each(drop);
                }
                Some(b'{' | b'[') => self.format = Format::Document,
                // The blanks in the first line are not the start of `data:`.
                Some(_) if splitter.in_line() => self.format = Format::Events(splitter.clone(), Field::Other),
                Some(_) => self.format = Format::Events(splitter.clone(), Field::Name(0)),
            }
        }
        match &mut self.format {
            Format::Events(splitter, Field::Name(0))
                if self.json.is_at_start() && splitter.is_at_start_of_line() && is_without_usage(chunk) =>
            {
                self.events = self.events.saturating_add(blank_lines(chunk));
            }
            Format::Events(splitter, field) => {
                let events = feed_events(&mut self.json, splitter, field, chunk);
                self.events = self.events.saturating_add(events);
            }
            _ => self.json.feed(chunk),
        }
    }
}

/// Whether a chunk ends an event, and its events have no usage, or `"usage": null`: between two
/// events, they change nothing.
fn is_without_usage(chunk: &[u8]) -> bool {
    static USAGE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("usage"));
    let is_null = |at: usize| {
        let value = chunk.get(at..).and_then(|rest| rest.strip_prefix(b"usage\":"));
        value.is_some_and(|value| value.trim_ascii_start().starts_with(b"null"))
    };
    (chunk.ends_with(b"\n\n") || chunk.ends_with(b"\r\n\r\n")) && USAGE.find_iter(chunk).all(is_null)
}

/// The empty lines of a chunk that begins with a line and ends with an empty one.
fn blank_lines(chunk: &[u8]) -> u64 {
    // Most chunks are one event of one line.
    let first = memchr(b'\n', chunk);
    if first.and_then(|end| end.checked_add(2)) == Some(chunk.len()) && first != Some(0) {
        return 1;
    }
    let (mut blank, mut start) = (0_u64, 0);
    for end in memchr_iter(b'\n', chunk) {
        if matches!(chunk.get(start..end), Some(b"" | b"\r")) {
            blank = blank.saturating_add(1);
        }
        start = end.saturating_add(1);
    }
    blank
}

/// Feeds the data of the events in a chunk. Returns how many end there.
fn feed_events(json: &mut JsonScanner, splitter: &mut Splitter, field: &mut Field, chunk: &[u8]) -> u64 {
    let mut rest = chunk;
    let mut ended = 0_u64;
    while let Some((piece, after)) = splitter.next(rest) {
        rest = after;
        match piece {
            Piece::Text(text) => json.feed(field.read(text)),
            Piece::LineEnd => {
                // Several data lines are one text.
                if *field == Field::Data {
                    json.feed(b"\n");
                }
                *field = Field::Name(0);
            }
            // An invalid event does not affect the next one.
            Piece::EventEnd => {
                *field = Field::Name(0);
                json.reset();
                ended = ended.saturating_add(1);
            }
            Piece::Bom | Piece::LateLf => {}
        }
    }
    ended
}

/// The field of an event that a line sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    /// So many bytes of [`DATA`] have arrived.
    Name(usize),
    Data,
    Other,
}

/// The start of a line with data.
const DATA: &[u8] = b"data:";

impl Field {
    /// Reads the next text of a line; returns the part that is data.
    fn read<'a>(&mut self, text: &'a [u8]) -> &'a [u8] {
        let Self::Name(read) = *self else {
            return if *self == Self::Data { text } else { &[] };
        };
        let expected = DATA.get(read..).unwrap_or_default();
        let (name, value) = text.split_at_checked(expected.len()).unwrap_or((text, &[]));
        *self = match expected.strip_prefix(name) {
            Some([]) => Self::Data,
            Some(_) => Self::Name(read.saturating_add(name.len())),
            None => Self::Other,
        };
        if *self == Self::Data { value } else { &[] }
    }
}

#[cfg(test)]
mod tests;
