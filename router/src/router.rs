//! The order of decisions: arrive, send, answered, judge. The filter calls these four and obeys.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use llm_balancer_config::{Config, Deployment, retry_ceiling};

use crate::attempt::{Attempt, Journey};
use crate::group::{Groups, Pool, Resolved, Unresolved};
use crate::headers::Headers;
use crate::outcome::{Again, Failure};
use crate::random::Random;
use crate::reply::{Refusal, Reply};
use crate::request::{Facts, Request};
use crate::retry::Allowance;
use crate::rewrite::Limit;
use crate::route::Route;
use crate::strategy::simple_shuffle::{SimpleShuffle, Weights};
use crate::wishes::{Mock, Permitted};
use crate::{answer, auth, body, health, listing, retry, rewrite, wildcard};

/// A configuration, prepared for requests.
#[derive(Debug)]
pub struct Router {
    config: Config,
    groups: Groups,
    /// Retries that the edge makes at most; a request cannot ask for more.
    ceiling: u32,
}

/// What to do with a request whose headers have come.
#[derive(Debug)]
pub enum Arrival {
    /// Wait for the body.
    Hold(Box<Request>),
    /// Answer.
    Reply(Reply),
    /// Ask every deployment of this list whether it is there, then answer.
    Probe(Vec<usize>),
}

/// What to do with a request that is all there.
#[derive(Debug)]
pub enum Step {
    /// Send it to the deployment that was picked.
    Send(Box<Sending>),
    /// Answer.
    Reply(Reply),
}

/// A request on its way to a deployment.
#[derive(Debug)]
pub struct Sending {
    /// All of its headers.
    pub headers: Headers,
    /// Its body, where it differs from the client's.
    pub body: Option<Vec<u8>>,
    /// To be judged when the answer is there.
    pub attempt: Attempt,
}

/// What to do with an attempt that failed.
#[derive(Debug)]
pub enum Verdict {
    /// Ask the edge for another attempt, after a wait.
    Retry(Journey, Duration),
    /// Pass on what the provider said, with these headers.
    Relay(Vec<(&'static str, String)>),
    /// Answer in its place.
    Reply(Reply),
}

/// Whether a pick leaves out the deployment of this id.
type LeftOut<'a> = &'a dyn Fn(&Arc<str>) -> bool;

impl Router {
    /// Prepares a configuration.
    pub fn new(config: Config) -> Self {
        let groups = Groups::new(&config);
        let ceiling = retry_ceiling(&config);
        Self { config, groups, ceiling }
    }

    /// The configuration that it serves.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Looks at a request's headers; `complete` says that no body follows.
    pub fn arrive(&self, headers: &Headers, complete: bool) -> Arrival {
        self.try_arrive(headers, complete).unwrap_or_else(|refusal| Arrival::Reply(refusal.reply()))
    }

    fn try_arrive(&self, headers: &Headers, complete: bool) -> Result<Arrival, Refusal> {
        let target = headers.get(":path").unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let route = Route::of(path);
        if !route.is_open() {
            auth::check(self.config.server.master_key.as_ref(), headers)?;
        }
        let method = headers.get(":method").unwrap_or_default();
        if route == Route::Unknown {
            return Err(Refusal::NoSuchRoute(format!("{method} {path}")));
        }
        if method != route.method() && !(method == "HEAD" && route.method() == "GET") {
            return Err(Refusal::WrongMethod(route.method()));
        }
        let Route::Model(route, model) = route else { return self.informed(route, query) };
        self.check_length(headers)?;
        let permitted = Permitted::by(&self.config);
        let request = Request::new(route, model.as_deref(), query, headers, permitted)?;
        // Without a body there is nothing to send, and no callback would ever come. The request is refused for what it
        // lacks, in the same words as one with an empty body, or else for its input.
        if complete {
            request.facts(b"")?;
            return Err(Refusal::Missing("input"));
        }
        Ok(Arrival::Hold(Box::new(request)))
    }

    fn check_length(&self, headers: &Headers) -> Result<(), Refusal> {
        let limit = self.config.server.max_body_bytes;
        let length = headers.get("content-length").and_then(|length| length.parse::<u64>().ok());
        if length.is_some_and(|length| length > limit) { Err(Refusal::TooLarge(limit)) } else { Ok(()) }
    }

    /// The routes that ask about the configuration rather than for a model.
    fn informed(&self, route: Route<'_>, query: &str) -> Result<Arrival, Refusal> {
        let reply = match route {
            Route::Models => listing::models(&self.config),
            Route::ModelById(id) => {
                listing::model(&self.config, &id).ok_or_else(|| Refusal::NoSuchModel(id.into_owned()))?
            }
            Route::ModelInfo => listing::model_info(&self.config, query),
            Route::ModelGroupInfo => listing::model_group_info(&self.config, query),
            Route::Health => return Ok(Arrival::Probe(health::probed(&self.config, query))),
            Route::Liveliness => "\"I'm alive!\"".to_owned(),
            Route::Readiness | Route::Model(..) | Route::Unknown => {
                r#"{"status":"healthy","db":"Not connected"}"#.to_owned()
            }
        };
        Ok(Arrival::Reply(Reply::ok(reply)))
    }

    /// Decides where a request goes. `journey` is what it has been through, on any attempt but the first.
    pub fn send(
        &self,
        request: &Request,
        body: &[u8],
        journey: Option<Journey>,
        random: &mut dyn Random,
    ) -> Step {
        self.try_send(request, body, journey.unwrap_or_default(), random)
            .unwrap_or_else(|refusal| Step::Reply(refusal.reply()))
    }

    fn try_send(
        &self,
        request: &Request,
        body: &[u8],
        mut journey: Journey,
        random: &mut dyn Random,
    ) -> Result<Step, Refusal> {
        let facts = request.facts(body)?;
        let unresolved = |why| Refusal::Unresolved(Some(facts.model.to_string()), why, request.route.suffix);
        let Resolved { pool, captures, name } = self.groups.resolve(&facts.model).map_err(unresolved)?;
        if facts.wishes.mock == Some(Mock::RateLimit) {
            self.mock_rate_limit(&facts, &pool, &mut journey)?;
        }
        let index = self.pick(&pool, &journey, random).ok_or_else(|| unresolved(Unresolved::NoMatch))?;
        let deployment = self.deployment(index).ok_or_else(|| unresolved(Unresolved::NoMatch))?;
        if let Some((failure, limit)) = journey.over {
            let last = journey.tried.last().and_then(|id| self.by_id(id)).unwrap_or(deployment);
            return Ok(Step::Reply(answer::failed(last, &facts.model, &journey, failure, limit)));
        }
        let model = match captures.is_empty() {
            true => Cow::Borrowed(deployment.model.as_str()),
            false => Cow::Owned(wildcard::fill(&deployment.model, &captures, name)),
        };
        // A wildcard whose star caught nothing names no model.
        if model.is_empty() {
            return Err(unresolved(Unresolved::NoMatch));
        }
        let new_body = body::rewritten(&facts, request.route, deployment, &model);
        let length = new_body.as_ref().map_or(body.len(), Vec::len);
        let limit = self.limit(&facts, deployment);
        let headers = rewrite::headers(request, deployment, &model, limit, length);
        if journey.retries == 0 {
            journey.max_retries = self.allowance(deployment, facts.asked.num_retries, None).retries;
        }
        let attempt = Attempt {
            deployment: index,
            model: facts.model.into_owned(),
            pool,
            asked: facts.asked,
            limit: match limit {
                Limit::Whole(limit) | Limit::Gaps(limit) => limit,
            },
            stream: facts.stream,
            journey,
        };
        Ok(Step::Send(Box::new(Sending { headers, body: new_body, attempt })))
    }

    /// `mock_testing_rate_limit_error`: the first attempt fails without a deployment being called, and the retry
    /// starts at once (BEHAVIOUR 6).
    fn mock_rate_limit(&self, facts: &Facts<'_>, pool: &Pool, journey: &mut Journey) -> Result<(), Refusal> {
        if journey.retries > 0 {
            return Ok(());
        }
        let failure = Mock::RateLimit.failure();
        let first = pool.members.first().and_then(|index| self.deployment(*index));
        let retries = first.map_or(0, |deployment| {
            self.allowance(deployment, facts.asked.num_retries, Some(&failure)).retries
        });
        if retries == 0 {
            return Err(Refusal::Mock(Mock::RateLimit, facts.model.to_string()));
        }
        journey.retries = 1;
        journey.max_retries = retries;
        Ok(())
    }

    /// Picks among those not tried yet, else among those that may have come to their senses.
    fn pick(&self, pool: &Pool, journey: &Journey, random: &mut dyn Random) -> Option<usize> {
        if journey.tried.is_empty() {
            return pool.shuffle.pick(random).and_then(|place| pool.members.get(place).copied());
        }
        let last = journey.tried.last();
        // Whom to leave out, from the best choice to the last; the next is only looked at where nobody is left.
        let left_out: [LeftOut<'_>; 4] = [
            &|id| journey.tried.contains(id),
            &|id| journey.useless.contains(id) || Some(id) == last,
            &|id| journey.useless.contains(id),
            &|_| false,
        ];
        let others = |left_out: LeftOut<'_>| -> Vec<usize> {
            let stays = |index: &usize| self.deployment(*index).is_some_and(|d| !left_out(&d.id));
            pool.members.iter().copied().filter(stays).collect()
        };
        let left = left_out.into_iter().map(others).find(|left| !left.is_empty())?;
        let weights: Vec<Weights> =
            left.iter().filter_map(|index| self.deployment(*index)).map(Weights::of).collect();
        SimpleShuffle::new(&weights).pick(random).and_then(|place| left.get(place).copied())
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

    /// Judges a failed attempt.
    pub fn judge(&self, attempt: Attempt, failure: Failure, random: &mut dyn Random) -> Verdict {
        let Some(deployment) = self.deployment(attempt.deployment) else {
            return Verdict::Relay(Vec::new());
        };
        let Attempt { model, pool, asked, limit, mut journey, .. } = attempt;
        let settings = &self.config.router;
        journey.tried.push(Arc::clone(&deployment.id));
        if failure.again() == Again::Elsewhere {
            journey.useless.push(Arc::clone(&deployment.id));
        }
        let any = |known: &[Arc<str>]| {
            pool.members.iter().any(|index| self.deployment(*index).is_some_and(|d| !known.contains(&d.id)))
        };
        let (untried, elsewhere) = (any(&journey.tried), any(&journey.useless));
        let allowance = self.allowance(deployment, asked.num_retries, Some(&failure));
        journey.max_retries = allowance.retries;
        if retry::worth_another_attempt(allowance, journey.retries, &failure, elsewhere) {
            let wait = match untried {
                true => Duration::ZERO,
                false => retry::wait(failure.retry_after(), journey.retries, settings.retry_after, random),
            };
            journey.retries = journey.retries.saturating_add(1);
            return Verdict::Retry(journey, wait);
        }
        match failure {
            Failure::Provider { status: 400.., .. } => {
                Verdict::Relay(answer::owned(answer::names(deployment, &model, &journey)))
            }
            failure => Verdict::Reply(answer::failed(deployment, &model, &journey, failure, limit)),
        }
    }

    /// What the next attempt has to know after the connection of this one broke before the answer began, which the
    /// edge answers with another attempt in any case: to go on, or to tell the client.
    pub fn broken(&self, attempt: Attempt, failure: Failure, random: &mut dyn Random) -> Journey {
        let (limit, before, id) =
            (attempt.limit, attempt.journey.clone(), self.deployment(attempt.deployment));
        let id = id.map(|deployment| Arc::clone(&deployment.id));
        match self.judge(attempt, failure, random) {
            Verdict::Retry(journey, _) => journey,
            Verdict::Relay(_) | Verdict::Reply(_) => {
                let mut journey = before;
                journey.tried.extend(id);
                journey.over = Some((failure, limit));
                journey
            }
        }
    }

    /// The headers that name the deployment which served, for every routed answer.
    pub fn served_by<'a>(&'a self, attempt: &'a Attempt) -> Option<answer::Names<'a>> {
        Some(answer::names(self.deployment(attempt.deployment)?, &attempt.model, &attempt.journey))
    }

    fn allowance(
        &self,
        deployment: &Deployment,
        client: Option<u32>,
        failure: Option<&Failure>,
    ) -> Allowance {
        let allowance = retry::allowance(&self.config.router, deployment, client, failure);
        Allowance { retries: allowance.retries.min(self.ceiling), ..allowance }
    }

    /// A deployment by its index.
    pub fn deployment(&self, index: usize) -> Option<&Deployment> {
        self.config.deployments.get(index)
    }

    fn by_id(&self, id: &Arc<str>) -> Option<&Deployment> {
        self.config.deployments.iter().find(|deployment| deployment.id == *id)
    }
}
