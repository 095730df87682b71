//! A request is all there: where it goes, and in what form.

use std::borrow::Cow;
use std::time::Duration;

use llm_balancer_config::{Deployment, Strategy};

use crate::attempt::{Attempt, Journey};
use crate::choosing::{Nobody, Search};
use crate::eligible::Excluded;
use crate::estimate::Estimate;
use crate::fallback::{self, Names};
use crate::group::{Resolved, Unresolved};
use crate::lease::Sharing;
use crate::ledger::Ticket;
use crate::outcome::Reason;
use crate::random::Random;
use crate::reply::{Refusal, Reply, Unavailable};
use crate::request::{Facts, Request};
use crate::rewrite::Limit;
use crate::router::{Asking, Router, Sending, Step};
use crate::store::Moment;
use crate::wishes::Mock;
use crate::{answer, body, rewrite, stream_options, wildcard};

/// What came of one group.
enum Tried {
    /// This is to be done.
    Done(Step),
    /// The request goes on to the target that its journey names now.
    Elsewhere,
}

/// How long a request may ask for leases that others then use up, and how often in any case: on a busy machine, time goes by
/// without an answer being late.
const MOST_ASKING: (Duration, u32) = (Duration::from_millis(50), 4);

fn may_ask(journey: &mut Journey, now: Duration) -> bool {
    let (since, times) = journey.asked.get_or_insert((now, 0));
    *times = times.saturating_add(1);
    now.abs_diff(*since) < MOST_ASKING.0 || *times <= MOST_ASKING.1
}

/// Of a large group not everybody is asked for a lease at once, as most of what they grant would be given back: some, any of
/// them, and four times as many whenever nothing came of it. Eight are enough for a strategy to choose by.
fn some_of(mut lacks: Vec<(usize, u64)>, journey: &Journey, random: &mut dyn Random) -> Vec<(usize, u64)> {
    let times = journey.asked.map_or(1, |(_, times)| times);
    let most = 2_usize.saturating_mul(4_usize.saturating_pow(times));
    while lacks.len() > most {
        lacks.swap_remove(random.below(lacks.len()));
    }
    lacks
}

impl Router {
    /// Decides where a request goes. `journey` is what it has been through, on any attempt but the first.
    pub fn send(
        &self,
        request: &Request,
        body: &[u8],
        journey: Option<Journey>,
        moment: &mut Moment<'_>,
    ) -> Step {
        let mut journey = journey.unwrap_or_default();
        loop {
            // Every target of a trail is another one, so this ends.
            match self.try_group(request, body, &mut journey, moment) {
                Ok(Tried::Done(step)) => return step,
                Ok(Tried::Elsewhere) => {}
                Err(refusal) => return Step::Reply(refusal.reply()),
            }
        }
    }

    fn try_group(
        &self,
        request: &Request,
        body: &[u8],
        journey: &mut Journey,
        moment: &mut Moment<'_>,
    ) -> Result<Tried, Refusal> {
        let merged = journey.target.as_ref().and_then(|target| fallback::merged(body, target));
        let body = merged.as_deref().unwrap_or(body);
        let mut facts = request.facts(body)?;
        if let Some(target) = &journey.target {
            facts.model = Cow::Owned(target.model.to_string());
        }
        if let Some((failure, limit)) = journey.over {
            return Ok(Tried::Done(Step::Reply(self.told_late(&facts, journey, failure, limit))));
        }
        let unresolved = |why| Refusal::Unresolved(Some(facts.model.to_string()), why, request.route.suffix);
        let resolved = match self.groups.resolve(&facts.model) {
            Ok(resolved) => resolved,
            // A request may name a fallback that nobody answers to; that is no reason to give up the others.
            Err(why) if journey.target.is_some() => {
                let reply = unresolved(why).reply();
                return Ok(self.elsewhere_or(reply, &facts, &facts.model, journey, Reason::Other));
            }
            Err(why) => return Err(unresolved(why)),
        };
        if let Some(mock) = facts.wishes.mock.filter(|_| !journey.mocked)
            && let Some(tried) = self.mock(mock, &facts, &resolved, journey)
        {
            return Ok(tried);
        }
        let search = Search {
            pool: &resolved.pool,
            journey,
            estimate: Estimate::of(&facts, request.route),
            tags: &facts.wishes.tags,
            stream: facts.stream,
            sharing: Sharing::Alone,
            lenient: false,
        };
        match self.choose(&search, moment) {
            Ok((index, ticket)) => {
                let deployment = self.deployment(index).ok_or_else(|| unresolved(Unresolved::NoMatch))?;
                let merged = merged.is_some();
                self.sending(request, body, &facts, &resolved, journey, (index, deployment, ticket), merged)
                    .map(|sending| Tried::Done(Step::Send(Box::new(sending))))
            }
            Err(Nobody::Unleased(lacks)) if may_ask(journey, moment.now) => {
                let lacks = some_of(lacks, journey, moment.random);
                let asking = Asking { journey: std::mem::take(journey), lacks };
                Ok(Tried::Done(Step::Ask(Box::new(asking))))
            }
            Err(nobody) => {
                let refusal = self.unavailable(&facts, nobody, moment.now);
                let reply = self.about_the_group(refusal.reply(), &facts, &resolved, journey, moment);
                Ok(self.elsewhere_or(reply, &facts, resolved.name, journey, Reason::Other))
            }
        }
    }

    /// The request as the deployment gets it.
    #[expect(clippy::too_many_arguments, reason = "everything there is to know about one send, used once")]
    fn sending(
        &self,
        request: &Request,
        body: &[u8],
        facts: &Facts<'_>,
        resolved: &Resolved<'_>,
        journey: &mut Journey,
        (index, deployment, ticket): (usize, &Deployment, Ticket),
        merged: bool,
    ) -> Result<Sending, Refusal> {
        let model = match resolved.captures.is_empty() {
            true => Cow::Borrowed(deployment.model.as_str()),
            false => Cow::Owned(wildcard::fill(&deployment.model, &resolved.captures, resolved.name)),
        };
        let counts_tokens = self.counts_tokens(deployment, resolved.pool.strategy);
        let include_usage = counts_tokens && stream_options::injects_usage(facts, request.route, deployment);
        let rewritten = body::rewritten(facts, request.route, deployment, &model, include_usage);
        let new_body = rewritten.or_else(|| merged.then(|| body.to_vec()));
        let length = new_body.as_ref().map_or(body.len(), Vec::len);
        let limit = self.limit(facts, deployment);
        let headers = rewrite::headers(request, deployment, &model, limit, length);
        if journey.retries == 0 {
            journey.max_retries = self.allowance(deployment, facts.asked.num_retries, None).retries;
        }
        let attempt = Attempt {
            deployment: index,
            model: facts.model.to_string(),
            pool: std::sync::Arc::clone(&resolved.pool),
            asked: facts.asked,
            wishes: facts.wishes.clone(),
            limit: match limit {
                Limit::Whole(limit) | Limit::Gaps(limit) => limit,
            },
            stream: facts.stream,
            counts_tokens,
            withholds_usage: include_usage,
            ticket,
            journey: std::mem::take(journey),
        };
        Ok(Sending { headers, body: new_body, attempt })
    }

    /// Whether somebody depends on how many tokens an answer took.
    fn counts_tokens(&self, deployment: &Deployment, strategy: Strategy) -> bool {
        let is_limited = deployment.tpm.is_some() && !self.config.router.soft_limits;
        is_limited || matches!(strategy, Strategy::UsageBased | Strategy::LowestLatency)
    }

    /// An error that the request asks for, in place of the first attempt or the first group (BEHAVIOUR 6). `None`: go on.
    fn mock(
        &self,
        mock: Mock,
        facts: &Facts<'_>,
        resolved: &Resolved<'_>,
        journey: &mut Journey,
    ) -> Option<Tried> {
        journey.mocked = true;
        let failure = mock.failure();
        if mock == Mock::RateLimit {
            let first = resolved.pool.members.first().and_then(|index| self.deployment(*index));
            let retries = first.map_or(0, |deployment| {
                self.allowance(deployment, facts.asked.num_retries, Some(&failure)).retries
            });
            if retries > 0 {
                // The retry starts at once.
                journey.retries = 1;
                journey.max_retries = retries;
                return None;
            }
        }
        let mut reply = Refusal::Mock(mock, facts.model.to_string()).reply();
        reply.headers.extend(answer::of_group(&facts.model, journey));
        Some(self.elsewhere_or(reply, facts, resolved.name, journey, failure.reason()))
    }

    /// Sends the request on to the next fallback, or answers; with how the first group failed, if there was another.
    fn elsewhere_or(
        &self,
        reply: Reply,
        facts: &Facts<'_>,
        group: &str,
        journey: &mut Journey,
        reason: Reason,
    ) -> Tried {
        let failed = Names { asked: &facts.model, group };
        match journey.trail.next(&self.config.router, &facts.wishes, failed, reason) {
            Some(target) => {
                journey.original.get_or_insert_with(|| Box::new(reply));
                journey.go_to(target);
                Tried::Elsewhere
            }
            None => Tried::Done(Step::Reply(match journey.original.take() {
                Some(mut original) => {
                    original.replace_headers(answer::of_group(&facts.model, journey));
                    *original
                }
                None => reply,
            })),
        }
    }

    /// Why nobody serves, in words.
    fn unavailable(&self, facts: &Facts<'_>, nobody: Nobody, now: Duration) -> Refusal {
        let excluded = match nobody {
            Nobody::Tags => {
                return Refusal::Tags { model: facts.model.to_string(), tags: facts.wishes.tags.clone() };
            }
            Nobody::Excluded(excluded) => excluded,
            Nobody::Unleased(lacks) => {
                lacks.into_iter().map(|(index, _)| (index, Excluded::Unleased)).collect()
            }
        };
        // Whoever is only busy may be free at any moment.
        let soonest = excluded.iter().map(|(_, why)| why.until().unwrap_or(now)).min().unwrap_or(now);
        let is_cooling = |why: &Excluded| matches!(why, Excluded::CoolingDown(_));
        let all = !excluded.is_empty() && excluded.iter().all(|(_, why)| is_cooling(why));
        let cooling = excluded.iter().filter(|(_, why)| is_cooling(why));
        let cooling = cooling.filter_map(|(index, _)| Some(self.deployment(*index)?.id.clone())).collect();
        Refusal::Unavailable(Unavailable {
            model: facts.model.to_string(),
            wait: soonest.saturating_sub(now),
            all_cooling: all,
            cooling,
        })
    }

    /// What a refusal says about the group that it is about.
    fn about_the_group(
        &self,
        mut reply: Reply,
        facts: &Facts<'_>,
        resolved: &Resolved<'_>,
        journey: &Journey,
        moment: &Moment<'_>,
    ) -> Reply {
        reply.headers.extend(answer::of_group(&facts.model, journey));
        let first = resolved.pool.members.first();
        let limits = first
            .and_then(|index| self.ledger.borrow_mut().rate_limits(*index, moment.now, Some(moment.store)));
        reply.headers.extend(answer::owned(answer::limits(limits)));
        reply
    }

    /// The answer to a request whose last attempt could not tell the client how it ended.
    fn told_late(
        &self,
        facts: &Facts<'_>,
        journey: &mut Journey,
        failure: crate::outcome::Failure,
        limit: Duration,
    ) -> Reply {
        let last = journey.tried.last().and_then(|id| self.by_id(id));
        let original = journey.original.take();
        match (last, original) {
            (last, Some(mut original)) => {
                let names = last.map(|last| answer::owned(answer::names(last, &facts.model, journey)));
                original.replace_headers(names.unwrap_or_default());
                *original
            }
            (Some(last), None) => answer::failed(last, &facts.model, journey, failure, limit),
            (None, None) => Refusal::NoConnection.reply(),
        }
    }

    /// How long an attempt may take (BEHAVIOUR 7).
    fn limit(&self, facts: &Facts<'_>, deployment: &Deployment) -> Limit {
        let settings = &self.config.router;
        let whole = facts.asked.timeout.or(deployment.timeout).unwrap_or(settings.timeout);
        if facts.stream {
            let gaps = facts.asked.stream_timeout.or(deployment.stream_timeout).or(settings.stream_timeout);
            Limit::Gaps(gaps.unwrap_or(whole))
        } else {
            Limit::Whole(whole)
        }
    }
}
