//! What the reply to a command is, and what it changes.

use crate::fleet::resp::RespValue;

/// The effect of the reply to one command.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ReplyEffect {
    /// A lease or an origin, for which requests wait.
    Resumes,
    /// Redis knows this instance, whose share of this minute may not be what it should be.
    Present { is_in_transition: bool },
    /// The epoch of a Redis that has lost this minute's grants, so that they can be reported.
    NewEpoch,
    /// Redis does not know what was taken before.
    Lost,
    /// None that matters to requests that wait.
    None,
}

/// The items of one reply.
pub(super) struct Items<'a>(&'a [RespValue]);

impl<'a> Items<'a> {
    /// Those of an array; none of anything else.
    pub(super) fn of(reply: &'a RespValue) -> Self {
        Self(reply.items().unwrap_or_default())
    }

    pub(super) fn get(&self, place: usize) -> Option<&RespValue> {
        self.0.get(place)
    }

    /// A non-negative number.
    pub(super) fn number(&self, place: usize) -> Option<u64> {
        u64::try_from(self.get(place)?.integer()?).ok()
    }
}
