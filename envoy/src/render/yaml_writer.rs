//! The bootstrap as YAML that people can read: the user's file stands in it as a block wherever its bytes allow that.

use serde_json::Value;
use serde_saphyr::ser_options;

/// Next line: the one character that Envoy's YAML parser makes something else of when it is escaped as `\N`.
const NEL: char = '\u{85}';

/// YAML for Envoy and for people. A file with a byte-order mark or carriage returns in it becomes one quoted line,
/// since a block would lose them.
pub fn to_yaml(bootstrap: &Value) -> Result<String, Box<dyn std::error::Error>> {
    let json = serde_json::to_string_pretty(bootstrap)?;
    if json.contains(NEL) {
        // JSON is YAML too.
        return Ok(json);
    }
    // Folded, long lines would be hard to tell from line breaks.
    Ok(serde_saphyr::to_string_with_options(bootstrap, ser_options! { folded_wrap_chars: usize::MAX })?)
}

/// Several objects, one document each.
pub fn to_documents(objects: &[Value]) -> Result<String, Box<dyn std::error::Error>> {
    let documents = objects
        .iter()
        .map(|object| to_yaml(object).map(|yaml| format!("---\n{}\n", yaml.trim_end_matches('\n'))));
    documents.collect()
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
