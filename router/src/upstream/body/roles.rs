//! The roles of a chat's messages. OpenAI's clients write `developer` for `system`, which most other
//! providers refuse, so LiteLLM sends them `system` (`translate_developer_role_to_system_role`).

use crate::http::json;
use crate::http::rewritten_body::range_in;

const DEVELOPER: &str = "\"developer\"";
const SYSTEM: &str = "\"system\"";

/// The messages in pieces, with the role `system` in place of `developer`; `None` if none has it. A
/// role that is there twice or has escapes stays.
#[cold]
pub(super) fn with_system(messages: &str) -> Option<Vec<&str>> {
    let (mut pieces, mut sent) = (Vec::new(), 0);
    json::for_each_item(messages, |message| {
        let place = role(message).filter(|role| *role == DEVELOPER);
        let place = place.and_then(|role| range_in(messages.as_bytes(), role.as_bytes()));
        if let Some(place) = place {
            pieces.extend([messages.get(sent..place.start).unwrap_or_default(), SYSTEM]);
            sent = place.end;
        }
    })?;
    pieces.push(messages.get(sent..).filter(|_| sent > 0)?);
    Some(pieces)
}

/// The role of a message, if it has one.
fn role(message: &str) -> Option<&str> {
    let (mut role, mut count) = (None, 0_usize);
    json::for_each_member(message, |member| {
        if member.key == "role" {
            role = Some(member.value);
            count = count.saturating_add(1);
        }
    })?;
    role.filter(|_| count == 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::rewritten_body::{BodyWriter, Original};

    #[test]
    fn the_role_developer_is_sent_as_system_and_nothing_else_changes() {
        for (messages, expected) in [
            (r#"[{"role":"developer","content":"a"}]"#, r#"[{"role":"system","content":"a"}]"#),
            (
                r#" [ {"content" : "h\u00e9" , "role" : "developer" , "name":"n", "n":1.50 } , {"role":"user"} ] "#,
                r#" [ {"content" : "h\u00e9" , "role" : "system" , "name":"n", "n":1.50 } , {"role":"user"} ] "#,
            ),
            (
                r#"[{"role":"system"},{"role":"developer"},{"role":"user"},{"role":"developer"}]"#,
                r#"[{"role":"system"},{"role":"system"},{"role":"user"},{"role":"system"}]"#,
            ),
            (
                r#"[{"role":"developer","content":[{"role":"developer","text":"developer"}]},3,"developer"]"#,
                r#"[{"role":"system","content":[{"role":"developer","text":"developer"}]},3,"developer"]"#,
            ),
        ] {
            assert_eq!(
                with_system(messages.trim()).map(|pieces| pieces.concat()).as_deref(),
                Some(expected.trim())
            );
        }
    }

    #[test]
    fn what_is_no_role_of_a_message_stays() {
        for messages in [
            "[]",
            "null",
            r#""developer""#,
            r#"{"role":"developer"}"#,
            r#"["developer"]"#,
            r#"[["role","developer"]]"#,
            r#"[[{"role":"developer"}]]"#,
            r#"[{"role":"user","content":"\"role\":\"developer\""}]"#,
            r#"[{"role":"user","content":"developer","name":"developer"}]"#,
            r#"[{"role":"user","content":[{"type":"text","text":"developer","role":"developer"}]}]"#,
            r#"[{"role":"assistant","tool_calls":[{"function":{"arguments":{"role":"developer"}}}]}]"#,
            r#"[{"role":"dev\u0065loper"}]"#,
            r#"[{"role":"Developer"}]"#,
            r#"[{"role":" developer"}]"#,
            r#"[{"role":"developer","role":"user"}]"#,
            r#"[{"role":"user","r\u006fle":"developer"}]"#,
            r#"[{"role":["developer"]}]"#,
            r#"[{"role":{"role":"developer"}}]"#,
            r#"[{"role":null,"developer":"role"}]"#,
            r#"[{"Role":"developer"}]"#,
        ] {
            assert_eq!(with_system(messages), None, "{messages}");
        }
    }
    #[test]
    fn a_large_message_is_not_copied() {
        let messages = |role| format!(r#"[{{"role":"{role}","content":"{}"}}]"#, "long ".repeat(200_000));
        let client = messages("developer");
        let mut writer = BodyWriter::new(client.as_bytes(), 0);
        for piece in with_system(&client).unwrap() {
            writer.write(&[piece.as_bytes()]);
        }
        let body = writer.finish();
        assert_eq!(body.joined(client.as_bytes()), messages("system").into_bytes());
        assert_eq!(Original::new(client.into_bytes(), Some(&body)).kept(), r#"[{"role":"developer""#.len());
    }
}
