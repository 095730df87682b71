//! A provider's message without the words that it quotes: those are the client's, and decide nothing.

use std::borrow::Cow;

/// Stands for whatever was quoted.
pub(super) const QUOTED: char = '§';
/// A message is read up to here, in bytes. Providers' own are a few hundred; what is longer holds an echo.
const MOST: usize = 4096;
/// What follows is the client's input, as pydantic (vLLM, SGLang, FastAPI) repeats it.
const ECHOES: [&str; 5] = ["'input':", "\"input\":", "input_value=", "'ctx':", "\"ctx\":"];

/// The message in lower case; everything within quotes is one `§`, and so is the model's name if the client made it up.
pub(super) fn spoken(message: &str, model: Option<&str>) -> String {
    let message = before_echo(start(message)).to_ascii_lowercase();
    match model.map(str::to_ascii_lowercase).filter(|model| may_be_a_phrase(model)) {
        Some(model) => without_quotes(&without_model(&message, &model)),
        None => without_quotes(&message),
    }
}

fn start(message: &str) -> &str {
    let end = message.char_indices().map(|(place, _)| place).take_while(|place| *place <= MOST).last();
    match message.len() > MOST {
        true => message.get(..end.unwrap_or_default()).unwrap_or_default(),
        false => message,
    }
}

fn before_echo(message: &str) -> &str {
    let end = ECHOES.iter().filter_map(|echo| message.find(echo)).min();
    end.and_then(|end| message.get(..end)).unwrap_or(message)
}

/// A single word is a part of many phrases and none by itself; to leave it out would take others apart.
fn may_be_a_phrase(model: &str) -> bool {
    model.contains(|c: char| !c.is_ascii_alphanumeric())
}

fn without_model<'a>(message: &'a str, model: &str) -> Cow<'a, str> {
    match message.contains(model) {
        true => message.replace(model, QUOTED.encode_utf8(&mut [0; 4])).into(),
        false => message.into(),
    }
}

/// What the opening quote is closed by.
fn closing(open: char) -> Option<char> {
    match open {
        '"' | '\'' | '`' => Some(open),
        '“' => Some('”'),
        '‘' => Some('’'),
        '«' => Some('»'),
        _ => None,
    }
}

/// An apostrophe within a word opens nothing, and within one closes nothing: "the model's", "'it's here'".
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
    fn what_a_message_quotes_is_not_heard() {
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
            assert_eq!(spoken(message, Some("gpt-9")), expected, "{message}");
        }
    }

    #[test]
    fn a_models_name_that_is_a_phrase_is_not_heard_and_a_word_is_no_phrase() {
        for (name, expected) in [
            (None, "the model model prompt is too long is unknown"),
            (Some("Prompt is too long"), "the model model § is unknown"),
            (Some("model"), "the model model prompt is too long is unknown"),
        ] {
            assert_eq!(spoken("The model model prompt is too long is unknown", name), expected);
        }
    }

    #[test]
    fn a_message_is_read_up_to_its_bound_and_no_character_is_cut() {
        assert!(spoken(&"ä".repeat(10_000), None).len() <= MOST);
    }
}
