//! The tokens that an answer says it took, found in its bytes as they pass: a JSON document or a stream of events, cut
//! anywhere, which changes nothing. Nothing is copied unless a chunk ends within the `usage` object itself.

use memchr::{memchr, memchr2, memchr3};

use crate::http::json::{Object, uint};
use crate::http::sse::{Piece, Splitter};

/// Bytes of a `usage` object at most; with every detail that providers give it has less than one thousand.
const MOST: usize = 8 * 1024;

const NAME: &[u8] = b"usage";

/// Tokens of one request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// `prompt_tokens` or `input_tokens`.
    pub prompt: u64,
    /// `completion_tokens` or `output_tokens`.
    pub completion: u64,
    /// `total_tokens`, or the sum of the two.
    pub total: u64,
}

/// Looks for `usage` in an answer that comes in chunks.
#[derive(Clone, Debug, Default)]
pub struct UsageScanner {
    kind: Kind,
    json: JsonScanner,
}

/// What an answer turns out to be. Blanks and a byte order mark may stand in front of either.
#[derive(Clone, Debug)]
enum Kind {
    /// Nothing has come but those.
    Unknown(Splitter),
    /// It begins with an object or a list.
    Document,
    /// It begins with anything else.
    Events(Splitter, Field),
}

impl Default for Kind {
    fn default() -> Self {
        Self::Unknown(Splitter::default())
    }
}

/// The field of the event that a line sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    /// So much of `data:` has come.
    Name(usize),
    Data,
    Other,
}

/// Looks for `usage` in JSON.
#[derive(Clone, Debug, Default)]
struct JsonScanner {
    /// Objects and lists that are open. At 0 anything may stand between documents.
    depth: u32,
    place: Place,
    /// The `usage` object that is being captured.
    capturing: Option<Capture>,
    found: Option<Usage>,
}

/// A `usage` object whose end is still to come.
#[derive(Clone, Debug)]
struct Capture {
    /// The depth inside of it.
    depth: u32,
    /// What earlier chunks held of it; `None` if that is more than [`MOST`].
    bytes: Option<Vec<u8>>,
}

/// What the next byte belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    /// Anything but a string.
    #[default]
    Outside,
    /// A string; and how much of [`NAME`] it has spelt, if it may still become that.
    Text(Option<usize>),
    /// A string, behind a backslash.
    Escape,
    /// Behind `"usage"`: with a colon it is a name, else it was a value.
    Name,
    /// Behind `"usage":`
    Colon,
}

impl UsageScanner {
    /// A scanner at the start of an answer.
    pub fn new() -> Self {
        Self::default()
    }

    /// What was found so far; of several the last, which is the one that counts the whole answer.
    pub fn usage(&self) -> Option<Usage> {
        self.json.found
    }

    /// Reads the next chunk.
    pub fn feed(&mut self, chunk: &[u8]) {
        if let Kind::Unknown(splitter) = &mut self.kind {
            let is_blank = |byte: &u8| byte.is_ascii_whitespace() || b"\xef\xbb\xbf".contains(byte);
            match chunk.iter().find(|byte| !is_blank(byte)) {
                None => {
                    return std::iter::successors(Some(chunk), |rest| Some(splitter.next(rest)?.1))
                        .for_each(drop);
                }
                Some(b'{' | b'[') => self.kind = Kind::Document,
                // What stood in its first line so far is no start of `data:`.
                Some(_) if splitter.in_line() => self.kind = Kind::Events(splitter.clone(), Field::Other),
                Some(_) => self.kind = Kind::Events(splitter.clone(), Field::Name(0)),
            }
        }
        match &mut self.kind {
            Kind::Events(splitter, field) => self.json.events(splitter, field, chunk),
            _ => self.json.feed(chunk),
        }
    }
}

/// What a line begins with that holds a part of an event's data.
const DATA: &[u8] = b"data:";

impl Field {
    /// Reads on in a line; what belongs to the data.
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

impl JsonScanner {
    /// Reads the data of the events in a chunk.
    fn events(&mut self, splitter: &mut Splitter, field: &mut Field, chunk: &[u8]) {
        let mut rest = chunk;
        while let Some((piece, after)) = splitter.next(rest) {
            rest = after;
            match piece {
                Piece::Text(text) => self.feed(field.read(text)),
                Piece::LineEnd => {
                    // Several lines of data are one text.
                    if *field == Field::Data {
                        self.feed(b"\n");
                    }
                    *field = Field::Name(0);
                }
                // A broken event does no harm to the next one.
                Piece::EventEnd => {
                    *field = Field::Name(0);
                    self.final_answer();
                }
                Piece::Bom | Piece::LateLf => {}
            }
        }
    }

    /// Reads the next part of a text.
    fn feed(&mut self, chunk: &[u8]) {
        let mut rest = chunk;
        // From the start of the object that is being captured, or of the chunk.
        let mut object = chunk;
        loop {
            let step = match self.place {
                Place::Outside => self.outside(rest, &mut object),
                Place::Text(spelt) => self.text(rest, spelt),
                Place::Escape => self.escape(rest),
                Place::Name | Place::Colon => self.name(rest, &mut object),
            };
            match step {
                Some(after) => rest = after,
                None => break,
            }
        }
        if let Some(capture) = &mut self.capturing {
            capture.add(object);
        }
    }

    /// Goes to the next byte that opens or closes something, and past it.
    fn outside<'a>(&mut self, rest: &'a [u8], object: &mut &'a [u8]) -> Option<&'a [u8]> {
        let at = match self.depth {
            0 => memchr2(b'{', b'[', rest)?,
            _ => rest.iter().position(|byte| MARKS.contains(byte))?,
        };
        let (mark, after) = rest.get(at..)?.split_first()?;
        match mark {
            b'"' => self.place = Place::Text((1..=2).contains(&self.depth).then_some(0)),
            b'{' | b'[' => self.depth = self.depth.saturating_add(1),
            _ => self.close(object, after),
        }
        Some(after)
    }

    /// Goes to the end of a string, or to what interrupts it.
    fn text<'a>(&mut self, rest: &'a [u8], spelt: Option<usize>) -> Option<&'a [u8]> {
        let end = memchr3(b'"', b'\\', b'\n', rest);
        let text = end.map_or(Some(rest), |end| rest.get(..end))?;
        if let Some(end) = memchr(b'\r', text) {
            self.final_answer();
            return rest.get(end..);
        }
        let spelt = spelt.filter(|spelt| NAME.get(*spelt..).is_some_and(|name| name.starts_with(text)));
        let spelt = spelt.and_then(|spelt| spelt.checked_add(text.len()));
        self.place = Place::Text(spelt);
        let (mark, after) = rest.get(end?..)?.split_first()?;
        match mark {
            b'"' if spelt == Some(NAME.len()) && self.capturing.is_none() => self.place = Place::Name,
            b'"' => self.place = Place::Outside,
            b'\\' => self.place = Place::Escape,
            _ => self.final_answer(),
        }
        Some(after)
    }

    /// Goes past what stands behind a backslash.
    fn escape<'a>(&mut self, rest: &'a [u8]) -> Option<&'a [u8]> {
        let (byte, after) = rest.split_first()?;
        self.place = Place::Text(None);
        if matches!(byte, b'\r' | b'\n') {
            self.final_answer();
        }
        Some(after)
    }

    /// Reads on behind `"usage"` until it is known whether an object follows.
    fn name<'a>(&mut self, rest: &'a [u8], object: &mut &'a [u8]) -> Option<&'a [u8]> {
        let (byte, after) = rest.split_first()?;
        match (self.place, byte) {
            (_, b' ' | b'\t' | b'\r' | b'\n') => {}
            (Place::Name, b':') => self.place = Place::Colon,
            (Place::Colon, b'{') => {
                self.place = Place::Outside;
                self.depth = self.depth.saturating_add(1);
                self.capturing = Some(Capture { depth: self.depth, bytes: Some(Vec::new()) });
                *object = rest;
            }
            _ => {
                self.place = Place::Outside;
                return Some(rest);
            }
        }
        Some(after)
    }

    fn close(&mut self, object: &[u8], after: &[u8]) {
        if let Some(capture) = self.capturing.take_if(|capture| capture.depth == self.depth) {
            let last = object.len().checked_sub(after.len()).and_then(|length| object.get(..length));
            self.found = capture.read(last.unwrap_or_default()).or(self.found);
        }
        self.depth = self.depth.saturating_sub(1);
    }

    /// What was read is no JSON, so the next value starts anew.
    fn final_answer(&mut self) {
        self.depth = 0;
        self.place = Place::Outside;
        self.capturing = None;
    }
}

impl Capture {
    /// Keeps a piece of an object that goes on in the next chunk.
    fn add(&mut self, piece: &[u8]) {
        let bytes = self.bytes.take().filter(|bytes| bytes.len().saturating_add(piece.len()) <= MOST);
        self.bytes = bytes.map(|mut bytes| {
            bytes.extend_from_slice(piece);
            bytes
        });
    }

    /// The tokens of an object whose last piece this is.
    fn read(mut self, last: &[u8]) -> Option<Usage> {
        if self.bytes.as_ref().is_some_and(Vec::is_empty) {
            return Some(last).filter(|whole| whole.len() <= MOST).and_then(read);
        }
        self.add(last);
        self.bytes.as_deref().and_then(read)
    }
}

/// What matters outside of strings.
const MARKS: [u8; 5] = [b'"', b'{', b'}', b'[', b']'];

fn read(object: &[u8]) -> Option<Usage> {
    let object = Object::parse(object).ok()?;
    // As chat completions and embeddings name them, or as responses do.
    let tokens = |names: [&str; 2]| names.iter().find_map(|name| uint(object.present(name)?));
    let prompt = tokens(["prompt_tokens", "input_tokens"]);
    let completion = tokens(["completion_tokens", "output_tokens"]);
    let total = object.present("total_tokens").and_then(uint);
    // Transcriptions may be counted in seconds, which are no tokens.
    prompt.or(completion).or(total)?;
    let (prompt, completion) = (prompt.unwrap_or_default(), completion.unwrap_or_default());
    Some(Usage { prompt, completion, total: total.unwrap_or(prompt.saturating_add(completion)) })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHAT: &str = r#"{"id":"c","choices":[{"message":{"content":"say \"usage\":{\"prompt_tokens\":9} \\"},
        "usage":{"prompt_tokens":8}}], "usage" : {"prompt_tokens":5,"completion_tokens":7,"total_tokens":12,
        "prompt_tokens_details":{"cached_tokens":3,"usage":"}"}},"object":"usage"}"#;

    const EVENTS: &str = concat!(
        ": comment with a { and a \"\n\n",
        "event: x\r\ndata: {\"choices\":[{\"delta\":{\"content\":\"a\"}}],\"usage\":null}\r\n\r\n",
        "data: {\"broken\": \"[{\n\n",
        "data: {\"broken\": [1\n\n",
        "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2,\"total_tokens\":3}}\n\n",
        "data: [DONE]\n\n"
    );

    const RESPONSES: &str = concat!(
        "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"usage\":null}}\n\n",
        "event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"output\":[{\"usage\":",
        "{\"input_tokens\":99}}],\"usage\":{\"input_tokens\":3,\"output_tokens\":4.0}}}\n\n"
    );

    const fn usage(prompt: u64, completion: u64, total: u64) -> Option<Usage> {
        Some(Usage { prompt, completion, total })
    }

    fn scan<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> Option<Usage> {
        let mut scanner = UsageScanner::new();
        chunks.into_iter().for_each(|chunk| scanner.feed(chunk));
        assert!(scanner.json.capturing.is_none());
        scanner.usage()
    }

    #[test]
    fn wherever_an_answer_is_cut_the_same_is_found() {
        for (answer, expected) in
            [(CHAT, usage(5, 7, 12)), (EVENTS, usage(1, 2, 3)), (RESPONSES, usage(3, 4, 7))]
        {
            let bytes = answer.as_bytes();
            assert_eq!(scan([bytes]), expected, "{answer}");
            assert_eq!(scan(bytes.chunks(1)), expected, "byte by byte: {answer}");
            for first in 0..bytes.len() {
                let (one, rest) = bytes.split_at(first);
                for second in 0..rest.len() {
                    let (two, three) = rest.split_at(second);
                    assert_eq!(scan([one, two, three]), expected, "{first} {second}: {answer}");
                }
            }
        }
    }

    #[test]
    fn counts_are_read_as_providers_write_them() {
        for (object, expected) in [
            (r#"{"prompt_tokens":5,"total_tokens":5}"#, usage(5, 0, 5)),
            (r#"{"total_tokens":6}"#, usage(0, 0, 6)),
            (r#"{"prompt_tokens":1e3,"completion_tokens":null}"#, usage(1000, 0, 1000)),
            (r#"{"prompt_tokens":0,"completion_tokens":-1,"total_tokens":null}"#, usage(0, 0, 0)),
            (r#"{"prompt_tokens":1e300,"completion_tokens":1}"#, usage(u64::MAX, 1, u64::MAX)),
            (r#"{"type":"duration","seconds":3}"#, None),
            (r#"{"prompt_tokens":"5"}"#, None),
            ("{}", None),
            ("[{\"prompt_tokens\":5}]", None),
            ("null", None),
        ] {
            assert_eq!(scan([format!(r#"{{"usage":{object}}}"#).as_bytes()]), expected, "{object}");
        }
    }

    #[test]
    fn of_several_the_last_counts_and_one_without_tokens_does_not() {
        let one = r#"data: {"choices":[],"usage":{"prompt_tokens":1}}"#;
        let two = r#"data: {"x_groq":{"usage":{"prompt_tokens":2}}}"#;
        let none = r#"data: {"usage":{"seconds":1}}"#;
        assert_eq!(scan([format!("{one}\n\n{two}\n\n{none}\n\n").as_bytes()]), usage(2, 0, 2));
    }

    #[test]
    fn usage_elsewhere_is_no_usage() {
        for answer in [
            r#"{"choices":[{"usage":{"prompt_tokens":1}}]}"#,
            r#"{"a":{"b":{"usage":{"prompt_tokens":1}}}}"#,
            r#"{"content":"\"usage\":{\"prompt_tokens\":1}"}"#,
            r#"{"Usage":{"prompt_tokens":1},"usages":{"prompt_tokens":1},"usag":{"prompt_tokens":1}}"#,
            r#"{"\"usage":{"prompt_tokens":1},"usage\\":{"prompt_tokens":1}}"#,
            r#"["usage",{"prompt_tokens":1}]"#,
            r#"data: "usage":{"prompt_tokens":1}"#,
            r#"}}]{"a":"usage"}:{"prompt_tokens":1}"#,
        ] {
            assert_eq!(scan([answer.as_bytes()]), None, "{answer}");
        }
    }

    #[test]
    fn a_usage_without_end_is_not_kept() {
        let endless = format!(r#"{{"usage":{{"prompt_tokens":1,"x":"{}"}}}}"#, "x".repeat(MOST));
        assert_eq!(scan([endless.as_bytes()]), None);
        assert_eq!(scan(endless.as_bytes().chunks(100)), None);
        let after = format!("{endless}\n{{\"usage\":{{\"prompt_tokens\":2}}}}");
        assert_eq!(scan(after.as_bytes().chunks(100)), usage(2, 0, 2));
    }

    #[test]
    fn nothing_is_kept_of_an_answer_that_was_read() {
        let mut scanner = UsageScanner::new();
        EVENTS.as_bytes().chunks(3).for_each(|chunk| scanner.feed(chunk));
        assert!(scanner.json.capturing.is_none());
    }

    /// Native, opt-level 3, on a busy x86-64 machine: prose 5,600 MB/s, floats 1,200, events 700 (0.3 us each), code with
    /// an escape every eight bytes 360.
    #[test]
    #[ignore = "prints its own speed; run it with --release --nocapture"]
    #[expect(clippy::disallowed_methods, reason = "a stopwatch")]
    fn a_megabyte_costs_little() {
        let event = r#"data: {"id":"chatcmpl-9","object":"chat.completion.chunk","created":1700000000,"model":"gpt-4o","choices":[{"index":0,"delta":{"content":" word"},"logprobs":null,"finish_reason":null}],"usage":null}"#;
        for (what, answer) in [
            ("prose", format!(r#"{{"choices":[{{"text":"{}"}}],"usage":null}}"#, "word ".repeat(200_000))),
            ("code", format!(r#"{{"choices":[{{"text":"{}"}}]}}"#, r#"let a = \"b\";\n"#.repeat(60_000))),
            ("floats", format!(r#"{{"data":[{{"embedding":[{}0]}}]}}"#, "-0.012345678,".repeat(80_000))),
            ("events", format!("{event}\n\n").repeat(5_000)),
        ] {
            let start = std::time::Instant::now();
            for _ in 0..100 {
                assert_eq!(scan(std::hint::black_box(answer.as_bytes()).chunks(16 * 1024)), None);
            }
            let seconds = start.elapsed().as_secs_f64();
            println!("{what}: {:.0} MB/s", answer.len() as f64 * 100.0 / 1e6 / seconds);
        }
    }
}
