//! Errors without a member `error`: a code, a message and no model output. Zhipu sends them
//! (`{"code":500,"msg":"404 NOT_FOUND","success":false}`), Baidu (`error_code`, `error_msg`),
//! DashScope (`code`, `message`, `request_id`), and gateways.

use crate::http::json::{self, Member, Object};

const CODES: [&str; 4] = ["code", "error_code", "status_code", "errcode"];
const MESSAGES: [&str; 6] = ["message", "msg", "error_msg", "error_message", "errmsg", "detail"];
/// Members that may be beside them.
const OTHERS: [&str; 12] = [
    "success", "status", "type", "param", "id", "log_id", "request_id", "requestid", "trace_id", "timestamp",
    "path", "title",
];
/// Codes of a success.
const SUCCESS: [&str; 5] = ["0", "200", "success", "ok", ""];
/// Empty values.
const EMPTY: [&str; 5] = ["null", "[]", "{}", "\"\"", "false"];

/// Whether a complete body is a code, a message and no model output.
pub(super) fn is_bare_error(text: &[u8]) -> bool {
    let Ok(object) = Object::parse(text) else { return false };
    let members = object.members();
    members.iter().any(is_code) && members.iter().any(is_message) && members.iter().all(is_expected)
}

fn is(member: &Member<'_>, keys: &[&str]) -> bool {
    keys.iter().any(|key| member.key.eq_ignore_ascii_case(key))
}

fn is_code(member: &Member<'_>) -> bool {
    let code = json::string(member.value).unwrap_or(member.value.into());
    is(member, &CODES)
        && !EMPTY.contains(&member.value)
        && !SUCCESS.iter().any(|success| success.eq_ignore_ascii_case(&code))
}

fn is_message(member: &Member<'_>) -> bool {
    is(member, &MESSAGES) && json::string(member.value).is_some_and(|message| !message.trim().is_empty())
}

fn is_expected(member: &Member<'_>) -> bool {
    let is_known = [&CODES[..], &MESSAGES[..], &OTHERS[..]].iter().any(|keys| is(member, keys));
    is_known || EMPTY.contains(&member.value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_and_a_message_alone_are_an_error_and_nothing_else_is() {
        for (body, expected) in [
            (r#"{"code":500,"msg":"404 NOT_FOUND","success":false}"#, true),
            (r#"{"error_code":336003,"error_msg":"the max length is 20000","id":"as-1"}"#, true),
            (r#"{"code":"Throttling.RateQuota","message":"Too many","request_id":"r"}"#, true),
            (r#"{"code":401,"message":"No key","data":null}"#, true),
            (r#"{"code":0,"message":"ok"}"#, false),
            (r#"{"code":200,"msg":"success","data":[]}"#, false),
            (r#"{"code":"Success","message":"m"}"#, false),
            (r#"{"code":500,"message":"m","data":{"choices":[]}}"#, false),
            (r#"{"code":500,"message":{"content":"hi"}}"#, false),
            (r#"{"code":500,"message":"m","response":"hi"}"#, false),
            (r#"{"message":"m"}"#, false),
            (r#"{"code":500}"#, false),
            ("{}", false),
            ("[]", false),
        ] {
            assert_eq!(is_bare_error(body.as_bytes()), expected, "{body}");
        }
    }
}
