//! The headers that name the session of a request, as hashes.

use crate::hash::hash;

/// The session, as far as headers name it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AffinityHeaders {
    session: Option<(Source, u64)>,
}

/// Where a session's id is, in the order in which LiteLLM looks for it (`get_chain_id_from_headers`
/// of litellm_pre_call_utils.py).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Source {
    /// `x-litellm-trace-id`
    Trace,
    /// `x-litellm-session-id`
    LiteLlm,
    /// `x-claude-code-session-id` and others of that form.
    Vendor,
    /// Codex's names. LiteLLM reads them of Codex only, since it joins log lines by them.
    Codex,
    /// `x-session-id`
    Bare,
    /// `baggage: session.id=..` (W3C), which counts only if the body names no session.
    Baggage,
}

impl AffinityHeaders {
    /// Reads a header, if it is one of them.
    pub(super) fn read(&mut self, name: &[u8], value: &[u8]) {
        let (source, id) = match name {
            b"x-litellm-trace-id" => (Source::Trace, value),
            b"x-litellm-session-id" => (Source::LiteLlm, value),
            b"session-id" | b"session_id" | b"thread-id" | b"conversation_id" => (Source::Codex, value),
            b"x-session-id" => (Source::Bare, value),
            b"baggage" => match baggage_session(value) {
                Some(id) => (Source::Baggage, id),
                None => return,
            },
            _ if name.starts_with(b"x-") && name.ends_with(b"-session-id") => (Source::Vendor, value),
            _ => return,
        };
        let is_plain = matches!(source, Source::Trace | Source::LiteLlm | Source::Baggage);
        let is_valid = if is_plain { !id.is_empty() } else { is_session_id(id) };
        if is_valid && self.session.is_none_or(|(known, _)| source < known) {
            self.session = Some((source, hash(id)));
        }
    }

    /// The hash of the session's id, where it goes before what the body says.
    pub fn session(&self) -> Option<u64> {
        self.session.filter(|(source, _)| *source != Source::Baggage).map(|(_, id)| id)
    }

    /// The same, where the body says nothing.
    pub fn last_session(&self) -> Option<u64> {
        self.session.map(|(_, id)| id)
    }
}

/// LiteLLM's `_SESSION_ID_VALUE_RE`.
fn is_session_id(value: &[u8]) -> bool {
    value.len() >= 8 && value.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(byte))
}

/// The value of `session.id` in a list of `name=value` pairs.
fn baggage_session(value: &[u8]) -> Option<&[u8]> {
    let mut pairs = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    let id = pairs.find_map(|pair| pair.strip_prefix(b"session.id="))?;
    id.split(|byte| *byte == b';').next().map(<[u8]>::trim_ascii)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(headers: &[(&str, &str)]) -> AffinityHeaders {
        let mut own = AffinityHeaders::default();
        headers.iter().for_each(|(name, value)| own.read(name.as_bytes(), value.as_bytes()));
        own
    }

    #[test]
    fn a_session_is_read_of_any_of_its_headers() {
        let id = "e96634a3-fa28-4083";
        for name in [
            "x-litellm-trace-id", "x-litellm-session-id", "x-claude-code-session-id", "session_id",
            "thread-id", "x-session-id",
        ] {
            assert_eq!(read(&[(name, id)]).session(), Some(hash(id.as_bytes())), "{name}");
        }
        for (name, value) in [("x-session-id", "short"), ("x-a-session-id", "not an id"), ("session", id)] {
            assert_eq!(read(&[(name, value)]).session(), None, "{name}: {value}");
        }
    }

    #[test]
    fn of_several_headers_the_order_of_litellm_decides() {
        let all = [
            ("baggage", "session.id=baggage"),
            ("x-session-id", "barebare"),
            ("session-id", "codexcodex"),
            ("x-opencode-session-id", "vendorvendor"),
            ("x-litellm-session-id", "own"),
            ("x-litellm-trace-id", "trace"),
        ];
        for count in 2..=all.len() {
            let expected = Some(hash(all[count - 1].1.as_bytes()));
            assert_eq!(read(&all[..count]).session(), expected);
            let reversed: Vec<_> = all[..count].iter().rev().copied().collect();
            assert_eq!(read(&reversed).session(), expected);
        }
    }

    #[test]
    fn baggage_goes_behind_the_body() {
        let own = read(&[("baggage", "user.id=7, session.id=abc ;private,other=1")]);
        assert_eq!((own.session(), own.last_session()), (None, Some(hash(b"abc"))));
    }
}
