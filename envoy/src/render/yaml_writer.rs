//! The bootstrap as readable YAML: the user's file is a block in it where its bytes allow that.

use serde_json::Value;
use serde_saphyr::ser_options;

use crate::support::command_error::CommandError;

/// Next line (NEL): Envoy's YAML parser misreads its escape, `\N`.
const NEL: char = '\u{85}';

/// YAML, or JSON for a text with NEL. A text with a byte-order mark or carriage returns becomes one
/// quoted line, since a block would lose them.
pub fn to_yaml(bootstrap: &Value) -> Result<String, CommandError> {
    let json = serde_json::to_string_pretty(bootstrap).map_err(cannot_write)?;
    if json.contains(NEL) {
        return Ok(json);
    }
    // No folding: it would look like line breaks.
    let options = ser_options! { folded_wrap_chars: usize::MAX };
    serde_saphyr::to_string_with_options(bootstrap, options).map_err(cannot_write)
}

/// One document per object.
pub fn to_documents(objects: &[Value]) -> Result<String, CommandError> {
    let documents = objects
        .iter()
        .map(|object| to_yaml(object).map(|yaml| format!("---\n{}\n", yaml.trim_end_matches('\n'))));
    documents.collect()
}

fn cannot_write(error: impl std::fmt::Display) -> CommandError {
    CommandError::Io(format!("cannot write YAML: {error}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn yaml(text: &str) -> String {
        to_yaml(&json!({"value": text})).unwrap()
    }

    #[test]
    fn an_ordinary_file_stands_as_it_is() {
        let long = "# word ".repeat(40);
        let text = format!("model_list:\n- model_name: ü\t\n\n{long}\n");
        let indented: String = text
            .lines()
            .map(|line| if line.is_empty() { "\n".into() } else { format!("  {line}\n") })
            .collect();
        assert_eq!(yaml(&text), format!("value: |\n{indented}"));
    }

    #[test]
    fn what_a_block_would_lose_is_quoted() {
        assert_eq!(yaml("\u{feff}a: b\r\n"), "value: \"\\uFEFFa: b\\r\\n\"\n");
    }

    #[test]
    fn a_file_with_next_line_characters_becomes_json_since_envoy_misreads_their_escape() {
        assert_eq!(yaml("a: \u{85}\n"), "{\n  \"value\": \"a: \u{85}\\n\"\n}");
    }
}
