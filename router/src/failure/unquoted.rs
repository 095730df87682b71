//! Messages without what they quote: that may be the client's, so it must not decide.

use std::borrow::Cow;

/// Takes the place of a quote.
pub(super) const QUOTED: char = '§';
/// Length of a message that is read, in bytes. Providers' own words are a few hundred; longer ones
/// repeat the request.
const MAX_BYTES: usize = 4096;
/// Behind these, pydantic (vLLM, SGLang, FastAPI) repeats the client's input.
const ECHOES: [&str; 5] = ["'input':", "\"input\":", "input_value=", "'ctx':", "\"ctx\":"];

/// What pydantic (Anthropic, vLLM, FastAPI) says of a member, behind its name. The client writes the
/// names of unknown members. In lower case.
const COMPLAINTS: [&str; 7] = [
    ": extra inputs are not permitted",
    ": extra fields not permitted",
    ": field required",
    ": input should be",
    ": value error",
    ": unexpected keyword argument",
    ": property name",
];

/// What follows an address in a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AfterUrl {
    /// Words of the provider.
    Read,
    /// Perhaps more of an address that the client wrote, which may hold blanks.
    Skip,
}

/// The message in lower case, with one `§` for each quote, for each repetition of the model, for an
/// address, and for the member that it is about.
pub(super) fn unquoted(message: &str, model: Option<&str>, after_url: AfterUrl) -> String {
    let message = before_echo(start(message)).to_ascii_lowercase();
    let message = without_member(&message);
    let message = without_urls(&message, after_url);
    match model.map(str::to_ascii_lowercase).filter(|model| may_be_a_phrase(model)) {
        Some(model) => without_quotes(&without_model(&message, &model)),
        None => without_quotes(&message),
    }
}

fn start(message: &str) -> &str {
    let end = message.char_indices().map(|(place, _)| place).take_while(|place| *place <= MAX_BYTES).last();
    if message.len() > MAX_BYTES {
        message.get(..end.unwrap_or_default()).unwrap_or_default()
    } else {
        message
    }
}

fn before_echo(message: &str) -> &str {
    let end = ECHOES.iter().filter_map(|echo| message.find(echo)).min();
    end.and_then(|end| message.get(..end)).unwrap_or(message)
}

/// Whether the text before was the name of a member.
pub(super) fn names_a_member(text: &str) -> bool {
    last_complaint(&text.to_ascii_lowercase()).is_some()
}

fn last_complaint(message: &str) -> Option<usize> {
    COMPLAINTS.iter().filter_map(|complaint| message.rfind(complaint)).max()
}

/// The words from the last complaint on.
fn without_member(message: &str) -> Cow<'_, str> {
    match last_complaint(message).and_then(|last| message.get(last..)) {
        Some(complaint) => format!("{QUOTED}{complaint}").into(),
        None => message.into(),
    }
}

fn without_urls(message: &str, after: AfterUrl) -> Cow<'_, str> {
    const MARK: &str = "://";
    if !message.contains(MARK) {
        return message.into();
    }
    let mut out = String::with_capacity(message.len());
    let mut rest = message;
    while let Some((lead, url)) = rest.split_once(MARK) {
        out.push_str(lead.trim_end_matches(|c: char| c.is_ascii_alphanumeric()));
        out.push(QUOTED);
        rest = match after {
            AfterUrl::Read => url.trim_start_matches(|c: char| !c.is_whitespace()),
            AfterUrl::Skip => "",
        };
    }
    out.push_str(rest);
    out.into()
}

/// A single word is part of many phrases, so replacing it would break them.
fn may_be_a_phrase(model: &str) -> bool {
    model.contains(|c: char| !c.is_ascii_alphanumeric())
}

fn without_model<'a>(message: &'a str, model: &str) -> Cow<'a, str> {
    if message.contains(model) {
        message.replace(model, QUOTED.encode_utf8(&mut [0; 4])).into()
    } else {
        message.into()
    }
}

/// The closing quote of an opening one.
fn closing(open: char) -> Option<char> {
    match open {
        '"' | '\'' | '`' => Some(open),
        '“' => Some('”'),
        '‘' => Some('’'),
        '«' => Some('»'),
        _ => None,
    }
}

/// An apostrophe within a word is no quote: "the model's", "'it's here'".
fn without_quotes(message: &str) -> String {
    let mut out = String::with_capacity(message.len());
    let mut open: Option<char> = None;
    let mut before = ' ';
    let mut chars = message.chars().peekable();
    while let Some(c) = chars.next() {
        let is_escaped = before == '\\';
        before = if is_escaped { ' ' } else { c };
        match open {
            Some(close) if c == close && !is_escaped => {
                let ends = c != '\'' || chars.peek().is_none_or(|next| !next.is_alphanumeric());
                if ends {
                    open = None;
                }
            }
            Some(_) => {}
            None => match closing(c).filter(|_| c != '\'' || !ends_in_word(&out)) {
                Some(close) => {
                    open = Some(close);
                    out.push(QUOTED);
                }
                None => out.push(c),
            },
        }
    }
    out
}

fn ends_in_word(out: &str) -> bool {
    out.chars().next_back().is_some_and(char::is_alphanumeric)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_are_replaced() {
        for (message, expected) in [
            ("The model `gpt-9` does not exist", "the model § does not exist"),
            (r#"model "x" not found, try pulling it first"#, "model § not found, try pulling it first"),
            ("Invalid 'user': string too long.", "invalid §: string too long."),
            ("This model's maximum context length is 8", "this model's maximum context length is 8"),
            ("The users' prompt is too long", "the users' prompt is too long"),
            ("Unknown 'it's a maximum context length' here", "unknown § here"),
            (r#"Bad value "a \" maximum context length" here"#, "bad value § here"),
            ("Bad value 'maximum context length", "bad value §"),
            ("1 error: [{'type': 'x', 'input': 'say maximum context length'}]", "1 error: [{§: §, "),
            ("Invalid model name passed in model=gpt-9 x.", "invalid model name passed in model=§ x."),
        ] {
            assert_eq!(unquoted(message, Some("gpt-9"), AfterUrl::Read), expected, "{message}");
        }
    }

    #[test]
    fn a_model_that_could_be_a_phrase_is_replaced() {
        for (name, expected) in [
            (None, "the model model prompt is too long is unknown"),
            (Some("Prompt is too long"), "the model model § is unknown"),
            (Some("model"), "the model model prompt is too long is unknown"),
        ] {
            let message = "The model model prompt is too long is unknown";
            assert_eq!(unquoted(message, name, AfterUrl::Read), expected);
        }
    }

    #[test]
    fn the_name_of_a_member_is_the_clients() {
        for (message, expected) in [
            ("rate limit: Extra inputs are not permitted", "§: extra inputs are not permitted"),
            ("a: Field required, rate limit: Field required", "§: field required"),
            ("x: Input should be y: Extra inputs are not permitted", "§: extra inputs are not permitted"),
            ("messages.0.role: unknown", "messages.0.role: unknown"),
        ] {
            assert_eq!(unquoted(message, None, AfterUrl::Read), expected, "{message}");
        }
    }

    #[test]
    fn an_address_is_a_quote_and_may_be_longer_than_a_word() {
        for (message, read, skipped) in [
            ("At https://x/rate limit. Wait 3s", "at § limit. wait 3s", "at §"),
            ("https://x", "§", "§"),
            ("(s3://a b) gs://c d", "(§ b) § d", "(§"),
            ("a ://", "a §", "a §"),
        ] {
            assert_eq!(unquoted(message, None, AfterUrl::Read), read, "{message}");
            assert_eq!(unquoted(message, None, AfterUrl::Skip), skipped, "{message}");
        }
    }

    #[test]
    fn a_message_is_read_up_to_its_bound_and_no_character_is_cut() {
        assert!(unquoted(&"ä".repeat(10_000), None, AfterUrl::Read).len() <= MAX_BYTES);
    }
}
