//! Responses and event streams, read by the words of the standards and as a whole: what the readers
//! of chunks must agree with, in tests and in fuzzing.

use llm_balancer_router::{Filtered, Usage, UsageEventFilter, UsageScanner};
use serde_json::value::RawValue;

use super::json::{self, Member};

/// The longest event that may be removed, without the LF of a last CRLF.
pub const MOST: usize = 64 * 1024;
/// The longest `usage` object that is read.
const MOST_USAGE: usize = 8 * 1024;
/// The highest number that is a count of tokens.
const MOST_TOKENS: u64 = 0xffff_ffff;
/// The most members of an object that is read.
const MOST_MEMBERS: usize = 1000;

/// The stream in pieces of these lengths, again and again.
pub fn cut<'a>(stream: &'a [u8], lengths: &[usize]) -> Vec<&'a [u8]> {
    let mut chunks = Vec::new();
    let mut rest = stream;
    for length in lengths.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (chunk, after) = rest.split_at((*length).min(rest.len()));
        chunks.push(chunk);
        rest = after;
    }
    chunks
}

/// What the product passes of these chunks.
pub fn passed(chunks: &[&[u8]]) -> Vec<u8> {
    let mut filter = UsageEventFilter::new();
    let mut out = Vec::new();
    for (chunk, end) in chunks.iter().map(|chunk| (*chunk, false)).chain([(b"".as_slice(), true)]) {
        match filter.feed(chunk, end) {
            Filtered::Unchanged => out.extend_from_slice(chunk),
            Filtered::Replaced(bytes) => out.extend(bytes),
        }
    }
    out
}

/// The usage that the product finds in these chunks.
pub fn usage(chunks: &[&[u8]]) -> Option<Usage> {
    let mut scanner = UsageScanner::new();
    chunks.iter().for_each(|chunk| scanner.feed(chunk));
    scanner.usage()
}

/// Everything but the events that hold no more than the usage.
pub fn without_usage(stream: &[u8]) -> Vec<u8> {
    let events = events(stream).into_iter().enumerate();
    let kept = events.filter(|(nth, event)| !is_usage_event(event, *nth == 0));
    kept.flat_map(|(_, event)| event.to_vec()).collect()
}

/// The usage of a whole response. `Err` for one that is not JSON, of which the product may read
/// what it likes.
pub fn usage_of(response: &[u8]) -> Result<Option<Usage>, ()> {
    let is_blank = |byte: &u8| byte.is_ascii_whitespace() || b"\xef\xbb\xbf".contains(byte);
    let start = response.iter().position(|byte| !is_blank(byte)).unwrap_or(response.len());
    let mut counts = None;
    if matches!(response.get(start), Some(b'{' | b'[')) {
        read_usages(&response[start..], &mut counts)?;
    } else {
        for (nth, event) in events(response).into_iter().enumerate() {
            let data = data(event, nth == 0);
            if !matches!(data.trim_ascii(), b"" | b"[DONE]") {
                read_usages(&data, &mut counts)?;
            }
        }
    }
    Ok(counts.map(Counts::usage))
}

/// The events of a stream with the line breaks that end them, by the words of the standard, from
/// the stream as a whole.
fn events(stream: &[u8]) -> Vec<&[u8]> {
    let (mut events, mut start, mut at) = (Vec::new(), 0, 0);
    let mut line = usize::from(stream.starts_with(b"\xef\xbb\xbf")) * 3;
    at += line;
    while at < stream.len() {
        let is_break = matches!(stream[at], b'\r' | b'\n');
        let is_empty = at == line;
        at += if stream[at..].starts_with(b"\r\n") { 2 } else { 1 };
        if is_break {
            line = at;
            if is_empty {
                events.push(&stream[start..at]);
                start = at;
            }
        }
    }
    events.push(&stream[start..]);
    events
}

/// The values of an event's `data` lines, joined.
fn data(event: &[u8], is_first: bool) -> Vec<u8> {
    let event = event.strip_prefix(b"\xef\xbb\xbf").filter(|_| is_first).unwrap_or(event);
    let lines = event.split(|byte| matches!(byte, b'\r' | b'\n'));
    let values = lines.filter_map(|line| line.strip_prefix(b"data:"));
    values.collect::<Vec<_>>().join(&b'\n')
}

/// An object with `usage`, and with `choices` that are empty, null or missing. Providers write both
/// names without escapes, and an event with choices wherever in its text is not read.
fn is_usage_event(event: &[u8], is_first: bool) -> bool {
    let length = event.len() - usize::from(event.ends_with(b"\r\n"));
    let data = data(event, is_first);
    // As in front of other JSON.
    let data = data.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&data);
    let Some(members) = json::members(data) else { return false };
    let value = |name: &str| json::last(&members, name);
    let is_chunk = || {
        json::last_of_each(&members).len() == 1
            || value("object").is_some_and(|text| text.contains("completion"))
    };
    let has_usage = members.iter().any(|member| member.written == "\"usage\"" && member.value != "null");
    let is_filled = |usage: &str| json::members(usage.as_bytes()).is_some_and(|members| !members.is_empty());
    let is_usage_alone =
        value("usage").filter(|usage| *usage != "null").is_some_and(|usage| match value("choices") {
            Some("null") => is_filled(usage),
            Some(choices) => {
                serde_json::from_str::<Vec<&RawValue>>(choices).is_ok_and(|list| list.is_empty())
            }
            None => is_filled(usage) && is_chunk(),
        });
    length <= MOST
        && members.len() <= MOST_MEMBERS
        && has_usage
        && is_usage_alone
        && value("error").is_none_or(|error| error == "null")
        && may_lack_choices(&String::from_utf8_lossy(event))
}

/// Whether `choices` are not in a text, or are empty or null, or begin in another line.
fn may_lack_choices(event: &str) -> bool {
    let lacks = |value: &str| {
        let value: String = value.chars().filter(|mark| !" \t".contains(*mark)).take(3).collect();
        let line = value.split(['\r', '\n']).next().unwrap_or_default();
        let has_end = line.len() < value.len();
        let known = [":[]", ":nu", ":n]", ":[u"];
        known.contains(&line) || (has_end && known.iter().any(|known| known.starts_with(line)))
    };
    let mut values = event.split("\"choices\"").skip(1).peekable();
    values.peek().is_none() || values.any(lacks)
}

/// Reads every `usage` of one value, at its top level and up to two levels below.
fn read_usages(text: &[u8], counts: &mut Option<Counts>) -> Result<(), ()> {
    if !json::is_valid(text) {
        return Err(());
    }
    let mut found = Vec::new();
    find_usages(std::str::from_utf8(text).map_err(drop)?, 1, &mut found);
    for usage in found.into_iter().filter(|usage| usage.len() <= MOST_USAGE) {
        *counts = Counts::of(usage).map(|later| later.after(counts.unwrap_or_default())).or(*counts);
    }
    Ok(())
}

fn find_usages<'a>(text: &'a str, depth: u32, found: &mut Vec<&'a str>) {
    if let Some(members) = json::members(text.as_bytes()) {
        for Member { written, value, .. } in members {
            if written == "\"usage\"" && value.starts_with('{') {
                found.push(value);
            } else if depth < 3 {
                find_usages(value, depth + 1, found);
            }
        }
    } else if let Ok(items) = serde_json::from_str::<Vec<&RawValue>>(text)
        && depth < 3
    {
        items.into_iter().for_each(|item| find_usages(item.get(), depth + 1, found));
    }
}

/// Numbers of tokens, as OpenAI or Anthropic name them.
#[derive(Clone, Copy, Default)]
struct Counts {
    prompt: Option<u64>,
    written: Option<u64>,
    read: Option<u64>,
    completion: Option<u64>,
    total: Option<u64>,
}

impl Counts {
    fn of(usage: &str) -> Option<Self> {
        let members = json::members(usage.as_bytes()).filter(|members| members.len() <= MOST_MEMBERS)?;
        let of =
            |name: &str| json::last(&members, name).and_then(number).filter(|count| *count <= MOST_TOKENS);
        let (prompt, completion, total) = (
            of("prompt_tokens").or(of("input_tokens")),
            of("completion_tokens").or(of("output_tokens")),
            of("total_tokens"),
        );
        let is_openais =
            total.is_some() || json::last(&members, "prompt_tokens").is_some_and(|text| text != "null");
        let cached = |name: &str| if is_openais { None } else { of(name) };
        let (written, read) = (cached("cache_creation_input_tokens"), cached("cache_read_input_tokens"));
        let has_any = prompt.is_some() || completion.is_some() || total.is_some();
        has_any.then_some(Self { prompt, written, read, completion, total })
    }

    /// The last object of a stream may lack the counts of the prompt, and a 0 replaces no count.
    fn after(self, earlier: Self) -> Self {
        let of_both = |later: Option<u64>, earlier: Option<u64>| match (later, earlier) {
            (None | Some(0), Some(earlier)) => Some(earlier),
            _ => later,
        };
        let prompt = of_both(self.prompt, earlier.prompt);
        let total = match (self.prompt, self.completion, self.total) {
            (_, None | Some(0), Some(0)) => earlier.total.or(self.total),
            (_, _, Some(0)) => None,
            (Some(0), _, Some(total)) => Some(total.saturating_add(prompt.unwrap_or(0))),
            (.., total) => total,
        };
        let completion = if self.completion == Some(0) {
            of_both(self.completion, earlier.completion)
        } else {
            self.completion
        };
        let (written, read) = (of_both(self.written, earlier.written), of_both(self.read, earlier.read));
        Self { prompt, written, read, completion, total }
    }

    fn usage(self) -> Usage {
        let of = Option::unwrap_or_default;
        let prompt = match (self.prompt, self.completion) {
            (None, None) => of(self.total),
            (prompt, _) => of(prompt),
        };
        let limited = prompt.saturating_add(of(self.written));
        let reasoned = match (self.prompt, self.completion, self.total) {
            (Some(prompt), Some(_), Some(total)) => total.saturating_sub(prompt),
            _ => 0,
        };
        Usage {
            prompt: limited.saturating_add(of(self.read)),
            completion: of(self.completion).max(reasoned),
            total: self.total.unwrap_or(limited.saturating_add(of(self.completion))),
        }
    }
}

/// A number that is not negative, also as a float.
fn number(text: &str) -> Option<u64> {
    let float = text.parse::<f64>().ok().filter(|number| *number >= 0.0);
    text.parse().ok().or(float.map(|number| number as u64))
}
