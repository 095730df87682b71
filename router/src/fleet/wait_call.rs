//! The wait for other instances' requests: a list in Redis that is empty until `lease.lua` pushes the
//! id of a deployment whose minute others need more of than there is.
//!
//! The call stays open until then. While it does, Redis also sees that this instance has not ended:
//! `presence.lua` frees the share of one that is silent and has no call open. Between two calls there
//! is none, so each leaves a note at its end, which the next one removes.

use crate::fleet::call::{Pipeline, RedisCommand, argument};
use crate::fleet::resp::RespValue;
use crate::fleet::script::{Script, script};
use crate::state::time::UnixMillis;

static END: Script = script!("wait.lua");

/// Seconds that a wait takes at most.
pub const SECONDS: u64 = 60;
/// Entries that are taken at once.
const ENTRIES: u8 = 128;

/// What another instance asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recall {
    /// Of this deployment, by index.
    pub deployment: usize,
    /// Everything that is not used; otherwise half of it.
    pub all: bool,
}

/// Waits for entries, and takes them. The time tells this wait from others of the instance.
pub(super) fn add(pipeline: &mut Pipeline<'_>, now: UnixMillis) {
    let instance = pipeline.membership.instance;
    let (key, shares) = (pipeline.key(&format!("wake:{instance}")), pipeline.key("shares"));
    let (field, number) = (argument(format_args!("b:{instance}")), argument(now.0));
    pipeline.command(RedisCommand::Wait, &[b"HSET", &shares, &field, &number]);
    pipeline.command(RedisCommand::Wait, &[b"BLPOP", &key, &argument(SECONDS)]);
    pipeline.script(RedisCommand::Wait, &END, &[shares, key], &[field, number, argument(ENTRIES)]);
}

/// The recalls in the replies to a wait, without those of deployments that this configuration does
/// not have; `None` where it took its time and nothing came. An error in the place of the rest leaves
/// what came first.
pub(super) fn recalls(
    replies: &[RespValue],
    deployment: impl Fn(&[u8]) -> Option<usize>,
) -> Option<Vec<Recall>> {
    let [_, first, rest, ..] = replies else { return None };
    let (first, rest) = (first.items().unwrap_or_default(), rest.items().unwrap_or_default());
    if first.is_empty() && rest.is_empty() {
        return None;
    }
    let entries = first.iter().skip(1).chain(rest);
    let mut recalls: Vec<Recall> = Vec::new();
    for entry in entries {
        let RespValue::Bulk(entry) = entry else { continue };
        let Some((kind @ (b'a' | b'h'), id)) = entry.split_first() else { continue };
        let Some(deployment) = deployment(id) else { continue };
        let all = *kind == b'a';
        match recalls.iter_mut().find(|recall| recall.deployment == deployment) {
            Some(recall) => recall.all |= all,
            None => recalls.push(Recall { deployment, all }),
        }
    }
    Some(recalls)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(items: &[&str]) -> RespValue {
        RespValue::List(items.iter().map(|item| RespValue::Bulk(item.as_bytes().to_vec())).collect())
    }

    fn index(id: &[u8]) -> Option<usize> {
        [b"paris", b"quito"].iter().position(|known| *known == id)
    }

    #[test]
    fn the_entries_of_a_wait_are_the_deployments_to_give_back() {
        let none = RespValue::Integer(0);
        let entries = list(&["aquito", "aparis", "alima", "p", ""]);
        let replies = [none.clone(), list(&["wake:7", "hparis"]), entries];
        let paris = Recall { deployment: 0, all: true };
        let quito = Recall { deployment: 1, all: true };
        assert_eq!(recalls(&replies, index), Some(vec![paris, quito]));
        let probe = [none.clone(), list(&["wake:7", "p"]), RespValue::Nil];
        assert_eq!(recalls(&probe, index), Some(Vec::new()));
        let (nothing, late) = (list(&[]), list(&["aquito"]));
        assert_eq!(recalls(&[none.clone(), RespValue::Nil, nothing], index), None);
        assert_eq!(recalls(&[none.clone(), RespValue::Nil, late], index), Some(vec![quito]));
        let refused = RespValue::Error("NOPERM".into());
        assert_eq!(recalls(&[none, list(&["wake:7", "aparis"]), refused], index), Some(vec![paris]));
    }
}
