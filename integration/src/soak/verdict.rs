//! What became of a request, held against what the provider did with its attempts.

use serde_json::Value;

use super::journal::Attempt;
use super::plan::{Group, Promise};
use super::weather::Effect;
use crate::Reply;

/// Retries of a group, and resends after connections that had been closed.
const MAX_ATTEMPTS: usize = 4 + 3;

/// What the client saw.
#[derive(Debug)]
pub(super) enum Observed {
    Reply(Reply),
    /// The connection failed before a response.
    NoReply(String),
    /// Nothing within the patience of a client.
    Hung,
    /// The client has disconnected, because its VM trapped and the run is short.
    Left,
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Verdict {
    /// A whole response.
    Served,
    /// The provider broke its response off after the first bytes, so did the client's.
    BrokenOff,
    /// The provider's own response, complete and useless.
    Spoilt,
    /// 429 with `retry-after`, where limits or cooldowns may say so.
    Refused,
    /// An error, after all attempts have failed.
    Failed,
    /// In flight in a VM that trapped.
    LostToTrap,
    /// An error though a healthy deployment had room.
    Unserved(String),
    /// What must not happen, in words.
    Fault(String),
}

/// `in_trap`: the request was in flight while a VM of its instance trapped.
pub(super) fn judge(
    group: &Group,
    nonce: &str,
    observed: &Observed,
    attempts: &[Attempt],
    in_trap: bool,
) -> Verdict {
    let has = |effect: Effect| attempts.iter().any(|attempt| attempt.act.effect() == effect);
    let most = if group.name == "shaken" { 2 * MAX_ATTEMPTS } else { MAX_ATTEMPTS };
    if attempts.len() > most {
        return Verdict::Fault(format!("{} attempts", attempts.len()));
    }
    let reply = match observed {
        Observed::Hung => return Verdict::Fault("hangs".to_owned()),
        Observed::Left => return Verdict::LostToTrap,
        Observed::NoReply(_) if in_trap => return Verdict::LostToTrap,
        Observed::NoReply(why) => return Verdict::Fault(format!("no response: {why}")),
        Observed::Reply(reply) => reply,
    };
    let is_own = reply.text().contains(&format!("\"{nonce}\""));
    match (reply.status, reply.complete) {
        (200, true) if is_own => Verdict::Served,
        (200, true) if has(Effect::Spoils) => Verdict::Spoilt,
        (200, true) => Verdict::Fault("200 with another body than the provider's".to_owned()),
        (200, false) if has(Effect::BreaksOff) => Verdict::BrokenOff,
        (200, false) if in_trap => Verdict::LostToTrap,
        // Envoy's own response: the filter sets the header on all others.
        (500.., _) if in_trap && reply.header("x-litellm-model-id").is_none() => Verdict::LostToTrap,
        (status, false) => Verdict::Fault(format!("{status}, cut off")),
        (429, true) if group.promise != Promise::Served && !has(Effect::Serves) => refused(reply),
        (status, true) => failed(group, reply, status, has(Effect::Serves)),
    }
}

fn refused(reply: &Reply) -> Verdict {
    match (error(reply), reply.header("retry-after")) {
        (Err(why), _) => Verdict::Fault(why),
        // The provider's own has it if the provider set it.
        (Ok(message), None) if !message.contains("says 429") => {
            Verdict::Fault("429 without retry-after".to_owned())
        }
        _ => Verdict::Refused,
    }
}

fn failed(group: &Group, reply: &Reply, status: u16, was_served: bool) -> Verdict {
    match error(reply) {
        Err(why) => Verdict::Fault(why),
        Ok(message) if was_served => {
            Verdict::Fault(format!("{status} though the provider served it: {message}"))
        }
        Ok(message) if group.promise == Promise::Served => Verdict::Unserved(format!("{status}: {message}")),
        Ok(_) => Verdict::Failed,
    }
}

/// The message of an error in OpenAI's shape.
fn error(reply: &Reply) -> Result<String, String> {
    let body: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    match body["error"]["message"].as_str().filter(|message| !message.is_empty()) {
        Some(message) => Ok(message.to_owned()),
        None => Err(format!("{} without an error object: {:?}", reply.status, reply.text())),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Attempt, Observed, Reply, Verdict, judge};
    use crate::soak::plan::GROUPS;
    use crate::soak::weather::Act;

    fn reply(status: u16, body: &str, complete: bool) -> Observed {
        let (headers, body) = (Default::default(), body.to_owned().into());
        Observed::Reply(Reply { status, headers, body, complete })
    }

    fn verdict(group: usize, observed: &Observed, acts: &[Act], in_trap: bool) -> Verdict {
        let of = |act: &Act| Attempt { deployment: "a".to_owned(), act: act.clone() };
        let attempts: Vec<_> = acts.iter().map(of).collect();
        judge(&GROUPS[group], "n1", observed, &attempts, in_trap)
    }

    #[test]
    fn a_failure_is_allowed_only_where_no_deployment_served_or_could_have() {
        let serves = Act::Answer { after: Duration::ZERO, every: Duration::ZERO };
        let fails = Act::Status(500, None);
        let error = reply(500, r#"{"error":{"message":"no"}}"#, true);
        let (steady, wild) = (0, 3);
        assert!(matches!(verdict(steady, &error, std::slice::from_ref(&fails), false), Verdict::Unserved(_)));
        assert_eq!(verdict(steady, &error, std::slice::from_ref(&fails), true), Verdict::LostToTrap);
        assert_eq!(verdict(wild, &error, std::slice::from_ref(&fails), false), Verdict::Failed);
        assert!(matches!(verdict(wild, &error, &[fails, serves], false), Verdict::Fault(_)));
    }

    #[test]
    fn a_response_that_breaks_off_is_a_fault_unless_the_providers_did() {
        let cut = reply(200, "", false);
        assert_eq!(verdict(0, &cut, &[Act::ResetAfter(1)], false), Verdict::BrokenOff);
        assert!(matches!(verdict(0, &cut, &[Act::ResetAfter(0)], false), Verdict::Fault(_)));
    }

    #[test]
    fn another_clients_response_is_a_fault() {
        assert_eq!(verdict(0, &reply(200, r#"{"c":"n1"}"#, true), &[], false), Verdict::Served);
        assert!(matches!(verdict(0, &reply(200, r#"{"c":"n11"}"#, true), &[], false), Verdict::Fault(_)));
    }

    #[test]
    fn a_request_without_an_answer_hangs_in_a_trap_too() {
        assert!(matches!(verdict(3, &Observed::Hung, &[], true), Verdict::Fault(_)));
    }
}
