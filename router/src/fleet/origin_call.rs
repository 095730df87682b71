//! Which deployment made what requests refer to, for the other instances: the deployment's id under
//! the hash of the reference, for a day.

use crate::fleet::call::{Pipeline, RedisCommand, argument};
use crate::fleet::reply_effect::ReplyEffect;
use crate::fleet::resp::RespValue;
use crate::request::references::Reference;
use crate::state::deployment_states::DeploymentStates;
use crate::state::store::Moment;

/// Seconds that an origin is kept. One that is forgotten is found again by trying.
const LASTS: &[u8] = b"86400";

/// Publishes that a deployment made it.
pub(super) fn publish(pipeline: &mut Pipeline<'_>, reference: Reference, id: &str) {
    let key = key(pipeline, reference);
    pipeline.command(RedisCommand::PublishOrigin, &[b"SET", &key, id.as_bytes(), b"EX", LASTS]);
}

/// Publishes that it was deleted. Users of Redis that run these scripts may SET, but perhaps not DEL.
pub(super) fn remove(pipeline: &mut Pipeline<'_>, reference: Reference) {
    let key = key(pipeline, reference);
    pipeline.command(RedisCommand::PublishOrigin, &[b"SET", &key, b"", b"EX", b"1"]);
}

/// Asks which deployment made it.
pub(super) fn find(pipeline: &mut Pipeline<'_>, reference: Reference) {
    let key = key(pipeline, reference);
    pipeline.command(RedisCommand::FindOrigin { reference }, &[b"GET", &key]);
}

/// Applies the reply: the id of a `deployment`, or nothing.
pub(super) fn apply(
    reference: Reference,
    reply: &RespValue,
    deployment: impl Fn(&[u8]) -> Option<usize>,
    states: &mut DeploymentStates,
    moment: &Moment<'_>,
) -> Option<ReplyEffect> {
    match reply {
        RespValue::Nil => {}
        RespValue::Bulk(id) => {
            if let Some(index) = deployment(id) {
                states.remember_origin(reference, index, moment.store, false);
            }
        }
        _ => return None,
    }
    // The request goes on at once.
    Some(ReplyEffect::Resumes)
}

fn key(pipeline: &Pipeline<'_>, Reference(reference): Reference) -> Vec<u8> {
    let mut key = pipeline.key("origin:");
    key.extend_from_slice(&argument(reference));
    key
}
