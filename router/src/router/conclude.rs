//! What is told about attempts and requests that have ended: to the meters at once, and to the access log when all is over.

use std::sync::Arc;
use std::time::Duration;

use crate::attempt::{Attempt, Journey};
use crate::http::headers::Headers;
use crate::outcome::Outcome;
use crate::request::refusal::Refusal;
use crate::router::Router;
use crate::router::finish::{End, Ended};
use crate::state::record::milliseconds;
use crate::state::store::Store;
use crate::telemetry::access_log::{Account, Ending, Past};
use crate::telemetry::metrics::Change;

impl Router {
    /// Counts the request that the last decision has ended, if it has ended one, and tells about it in one line of JSON. `headers`
    /// are those with which it came.
    pub fn finish(&self, headers: &Headers, now: Duration) -> Option<String> {
        let account = self.account.take()?;
        let mut meters = self.meters.borrow_mut();
        if account.outcome == Outcome::Refused || account.began.is_some() {
            meters.request(account.group.as_ref(), account.outcome, account.status);
        }
        if let Some(reason) = account.reason {
            meters.refusal(account.group.as_ref(), reason);
        }
        self.config.server.access_log.then(|| account.line(headers, now))
    }

    /// The request that the last decision has ended has been told about already: the edge has sent it once more, because the answer
    /// came while it was still sending.
    pub fn told_before(&self) {
        self.account.take();
    }

    /// A request about which nothing was decided, because the client went before it was all there, or between two attempts.
    pub fn left(&self, journey: Option<Journey>) {
        self.conclude(Account::of(&journey.unwrap_or_default(), Outcome::ClientLeft, 0));
    }

    /// Deployments were asked whether they are there.
    pub fn probed(&self, outcome: Outcome, status: u16) {
        self.conclude(Account::of(&Journey::default(), outcome, status));
    }

    /// A request that is turned away past the router.
    pub fn turned_away(&self, refusal: &Refusal) {
        self.refused(&Journey::default(), refusal.reason(), refusal.reply().status);
    }

    /// Hands in what has been counted since the last time; to be called once a second.
    pub fn hand_in(&self, now: Duration, store: &dyn Store, sink: &mut dyn FnMut(&str, Change)) {
        let mut meters = self.meters.borrow_mut();
        self.watch.borrow_mut().show(&self.config, &mut self.ledger.borrow_mut(), &mut meters, now, store);
        meters.hand_in(&self.config, sink);
    }

    /// Hands in the rest, when this configuration has served its last request here.
    pub fn close(&self, store: &dyn Store, sink: &mut dyn FnMut(&str, Change)) {
        let (mut watch, mut meters) = (self.watch.borrow_mut(), self.meters.borrow_mut());
        let has_led = watch.close(&self.config, &mut meters);
        meters.hand_in(&self.config, sink);
        if has_led {
            watch.resign(store);
        }
    }

    /// Says which configuration this is, by its number or else by its fingerprint, and which worker this is, before there is
    /// traffic. Returns the configuration's generation.
    pub fn announce(&self, number: Option<u32>, fingerprint: u64, own: u64, store: &dyn Store) -> u32 {
        self.watch.borrow_mut().open(number, fingerprint, own, store)
    }

    /// An attempt has ended.
    pub(crate) fn past(&self, attempt: &Attempt, journey: &mut Journey, ending: Ending, now: Duration) {
        self.meters.borrow_mut().attempt(attempt.deployment, ending);
        let Some(deployment) = self.deployment(attempt.deployment) else { return };
        journey.past.push(Past {
            deployment: Arc::clone(&deployment.id),
            ending,
            milliseconds: milliseconds(now.saturating_sub(attempt.ticket.at)),
            detail: attempt.detail.clone(),
        });
    }

    /// A request has ended with this attempt, which is the last of its journey.
    pub(crate) fn failed(&self, attempt: &Attempt, journey: &Journey, outcome: Outcome, status: u16) {
        self.conclude(Account { why: Some(attempt.why), ..Account::of(journey, outcome, status) });
    }

    /// An answer has ended, and with it the request.
    pub(crate) fn served(&self, attempt: &Attempt, ended: &Ended, now: Duration) {
        let outcome = ended.end.outcome();
        let mut journey = attempt.journey.clone();
        let class = ended.end.fault(attempt).map(|fault| fault.class);
        self.past(attempt, &mut journey, Ending { outcome, status: ended.status, class }, now);
        let since = |start: Duration| ended.first_byte.map(|at| milliseconds(at.saturating_sub(start)));
        let mut meters = self.meters.borrow_mut();
        if let Some(milliseconds) = since(attempt.ticket.at) {
            meters.first_byte(attempt.deployment, milliseconds);
        }
        if let Some(usage) = ended.usage {
            meters.tokens(attempt.deployment, usage);
        }
        if let (Outcome::Success, Some(began)) = (outcome, journey.began) {
            meters.duration(attempt.deployment, milliseconds(now.saturating_sub(began)));
        }
        drop(meters);
        self.conclude(Account {
            why: Some(attempt.why),
            usage: ended.usage,
            first_byte: journey.began.and_then(since),
            ..Account::of(&journey, outcome, ended.status)
        });
    }

    /// A request has ended without another attempt.
    pub(crate) fn refused(&self, journey: &Journey, reason: &'static str, status: u16) {
        self.conclude(Account { reason: Some(reason), ..Account::of(journey, Outcome::Refused, status) });
    }

    /// The group that a name stands for, in the words of the file.
    pub(crate) fn label(&self, model: &str) -> Option<Arc<str>> {
        self.groups.resolve(model).ok().map(|resolved| Arc::clone(&resolved.pool.label))
    }

    pub(crate) fn conclude(&self, account: Account) {
        self.account.replace(Some(account));
    }
}

impl End {
    /// In the words of metrics and logs.
    fn outcome(self) -> Outcome {
        match self {
            Self::Whole => Outcome::Success,
            Self::Left => Outcome::ClientLeft,
            Self::BrokenOff => Outcome::BrokenOff,
            Self::TimedOut => Outcome::Timeout,
        }
    }
}
