//! The edge and the filter, played for one request: every attempt is sent, its outcome reported,
//! and the state kept between attempts.

use std::time::Duration;

use llm_balancer_config::max_edge_retries;
use llm_balancer_router::{
    AccessLogEntry, Arrival, Attempt, ErrorResponse, Failure, FinalEvent, FinalEventScan, Headers, Moment,
    Request, ResponseSummary, RetryState, Sending, Step, StreamEnd, Usage, UsageScanner, Verdict,
    response_check,
};

use llm_balancer_router::response_check::{CheckResult, FalseSuccess, HeldResponse};

use super::{Answer, ClientResponse, Sent, World};

enum Next {
    Retry(Box<RetryState>),
    End(Box<AccessLogEntry>),
}

impl World {
    /// Sends a POST request. `answer` is asked for each attempt, with the id of the deployment.
    pub fn post(
        &mut self,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
        answer: impl FnMut(&str) -> Answer,
    ) -> ClientResponse {
        self.send(("POST", path), headers, Some(body), answer)
    }

    /// The same with any method. `None` is a request without a body.
    pub fn send(
        &mut self,
        (method, path): (&str, &str),
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
        mut answer: impl FnMut(&str) -> Answer,
    ) -> ClientResponse {
        let all = [(":method", method), (":path", path)].into_iter().chain(headers.iter().copied()).collect();
        let (is_complete, body) = (body.is_none(), body.unwrap_or_default());
        let request = match self.router.on_request_headers(&all, is_complete) {
            Arrival::Hold(request) => request,
            Arrival::Reply(reply, entry) => {
                self.log(*entry.expect("a refusal is logged"), &all);
                return ClientResponse::default().with_reply(reply);
            }
            Arrival::Probe(_) => panic!("a probe"),
        };
        let mut response = ClientResponse::default();
        let mut retry_state: Option<RetryState> = None;
        // As strict as the edge: after so many attempts the response goes to the client, whatever
        // it is.
        for edge_attempts in 1..=max_edge_retries(self.router.config()) + 1 {
            if let Some(retry_state) = &mut retry_state {
                retry_state.edge_attempts = edge_attempts;
            }
            match self.attempt(&request, body, retry_state.take(), &mut answer, &mut response) {
                Next::Retry(next) => retry_state = Some(*next),
                Next::End(entry) => {
                    self.log(*entry, &all);
                    return response;
                }
            }
        }
        panic!("the edge makes no further attempt: {response:?}");
    }

    pub(super) fn log(&mut self, entry: AccessLogEntry, headers: &Headers) {
        let line = self.router.record_request(entry, headers, self.now).expect("a line");
        self.lines.push(serde_json::from_str(&line).expect("a line is JSON"));
    }

    fn attempt(
        &mut self,
        request: &Request,
        body: &[u8],
        retry_state: Option<RetryState>,
        answer: &mut dyn FnMut(&str) -> Answer,
        response: &mut ClientResponse,
    ) -> Next {
        let mut moment = Moment { now: self.now, random: &mut self.random, store: &*self.store };
        let sending = match self.router.on_request_body(request, body, retry_state, &mut moment) {
            Step::Send(sending) => *sending,
            Step::AwaitRedis(..) => panic!("there is no Redis"),
            Step::Reply(reply, entry) => {
                *response = std::mem::take(response).with_reply(reply);
                return Next::End(entry);
            }
        };
        let Sending { headers, body: rewritten, attempt } = sending;
        let sent = rewritten.map_or_else(|| body.to_vec(), |rewritten| rewritten.joined(body));
        response.sent = Some(Sent { headers, body: String::from_utf8_lossy(&sent).into_owned() });
        let headers = self.router.response_headers(&attempt, &|| self.now, &*self.store);
        response.headers = headers.map(|(name, value)| (name.to_owned(), value.into_owned())).collect();
        let id = self.id(&attempt);
        response.called.push(id.clone());
        self.answered(attempt, answer(&id), response)
    }

    fn answered(&mut self, mut attempt: Attempt, answer: Answer, response: &mut ClientResponse) -> Next {
        let usage = |prompt, completion| Some(Usage { prompt, completion, total: prompt + completion });
        let provider = |status, retry_after| Failure::Provider { status, retry_after };
        let (mut final_event, mut events) = (FinalEvent::Unknown, 0);
        let (after, usage, end) = match answer {
            Answer::Stream(chunks, end) => {
                let usage;
                (usage, events, final_event) = self.scan(&mut attempt, chunks, end == StreamEnd::Complete);
                (100, usage, end)
            }
            Answer::Ok => (0, None, StreamEnd::Complete),
            Answer::Body(body) => {
                let scan = attempt.reference_scan.as_mut();
                let found = scan.map_or_else(Vec::new, |scan| scan.feed(body.as_bytes()));
                let moment = Moment { now: self.now, random: &mut self.random, store: &*self.store };
                self.router.remember(attempt.deployment, &found, &moment);
                (0, usage(5, 7), StreamEnd::Complete)
            }
            Answer::Checked(body) => match self.check(&attempt, body) {
                Some(found) => {
                    let failure = provider(found.status, None);
                    let error = ErrorResponse {
                        body: found.body.into_bytes(),
                        original: found.original.map(String::into_bytes),
                        received_status: Some(200),
                        ..ErrorResponse::default()
                    };
                    return self.failed_with(attempt, failure, &error, response);
                }
                None => {
                    body.clone_into(&mut response.body);
                    (0, usage(5, 7), StreamEnd::Complete)
                }
            },
            Answer::Used(prompt, completion) => (0, usage(prompt, completion), StreamEnd::Complete),
            Answer::After(milliseconds) => (milliseconds, usage(0, 1), StreamEnd::Complete),
            Answer::BeginsAfter(milliseconds) => (milliseconds, None, StreamEnd::Complete),
            Answer::Stalls => (0, None, StreamEnd::TimedOut { passed: 2_000 }),
            Answer::IsUnread => (0, None, StreamEnd::TimedOut { passed: 40_000 }),
            Answer::Interrupted => (0, None, StreamEnd::Interrupted),
            Answer::UsedSoFar(prompt, completion, end) => (0, usage(prompt, completion), end),
            Answer::ErrorEvent(event) => {
                self.find_error(&mut attempt, event);
                (0, None, StreamEnd::Complete)
            }
            Answer::LeftAtErrorEvent(event) => {
                self.find_error(&mut attempt, event);
                (0, None, StreamEnd::ClientDisconnected)
            }
            Answer::ClientDisconnects => {
                let moment = Moment { now: self.now, random: &mut self.random, store: &*self.store };
                return Next::End(Box::new(self.router.on_client_disconnect(attempt, &moment)));
            }
            Answer::Reset => {
                let mut moment = Moment { now: self.now, random: &mut self.random, store: &*self.store };
                return Next::Retry(Box::new(self.router.on_reset(attempt, Failure::Broken, &mut moment)));
            }
            Answer::Status(status) => return self.failed(attempt, provider(status, None), "", response),
            Answer::Error(status, body) => {
                return self.failed(attempt, provider(status, None), body, response);
            }
            Answer::RateLimited(seconds) => {
                let failure = provider(429, Some(Duration::from_secs(seconds)));
                return self.failed(attempt, failure, "", response);
            }
            Answer::DeadConnection(milliseconds) => {
                self.now += Duration::from_millis(milliseconds);
                let attempt = Attempt { is_on_reused_connection: true, ..attempt };
                return self.failed(attempt, Failure::Broken, "", response);
            }
            Answer::Refused => return self.failed(attempt, Failure::NoConnection, "", response),
            Answer::TimedOut => return self.failed(attempt, Failure::TimedOut, "", response),
        };
        response.status = 200;
        self.now += Duration::from_millis(after);
        let moment = Moment { now: self.now, random: &mut self.random, store: &*self.store };
        let first_byte = Some(self.now);
        let summary = ResponseSummary { status: 200, first_byte, usage, events, end, final_event };
        Next::End(Box::new(self.router.on_response_end(attempt, summary, &moment)))
    }

    /// As the filter scans a stream.
    fn scan(
        &mut self,
        attempt: &mut Attempt,
        chunks: &[&str],
        is_complete: bool,
    ) -> (Option<Usage>, u64, FinalEvent) {
        let (mut usage, mut scan, mut found) =
            (UsageScanner::new(), FinalEventScan::new(attempt.route), FinalEvent::Unknown);
        for chunk in chunks {
            self.now += Duration::from_millis(10);
            usage.feed(chunk.as_bytes());
            if scan.feed(chunk.as_bytes(), &usage) {
                found = FinalEvent::At(self.now);
            }
        }
        let is_at_end = is_complete || found != FinalEvent::Unknown;
        if let Some(failure) = scan.failure(b"").filter(|_| is_at_end) {
            self.router.on_response_error(attempt, failure);
        }
        let is_missing = scan.is_missing(&usage) || usage.is_unfinished_document();
        (usage.usage(), usage.events(), if is_missing { FinalEvent::Missing } else { found })
    }

    /// The error that a body under status 200 is.
    fn check(&self, attempt: &Attempt, body: &str) -> Option<FalseSuccess> {
        let checked = response_check::check(&HeldResponse {
            route: attempt.route,
            status: 200,
            bytes: body.as_bytes(),
            complete: true,
            pieces: 1,
            held_for: Duration::ZERO,
            header: &|_| None,
            refusal_falls_back: &|| self.router.refusal_falls_back(attempt),
        });
        match checked {
            CheckResult::Failed(found) => Some(found),
            CheckResult::Genuine(_) | CheckResult::Undecided => None,
        }
    }

    fn find_error(&self, attempt: &mut Attempt, event: &str) {
        let found = response_check::error_event(attempt.route, format!("{event}\n\n").as_bytes());
        self.router.on_response_error(attempt, found.expect("an error"));
    }

    fn failed(
        &mut self,
        attempt: Attempt,
        failure: Failure,
        body: &str,
        response: &mut ClientResponse,
    ) -> Next {
        let headers = vec![("x-request-id", format!("of-{}", self.id(&attempt)))];
        let error = ErrorResponse { headers, body: body.into(), ..ErrorResponse::default() };
        self.failed_with(attempt, failure, &error, response)
    }

    fn failed_with(
        &mut self,
        attempt: Attempt,
        failure: Failure,
        error: &ErrorResponse,
        response: &mut ClientResponse,
    ) -> Next {
        let mut moment = Moment { now: self.now, random: &mut self.random, store: &*self.store };
        match self.router.on_attempt_failed(attempt, failure, &|| error.clone(), &mut moment) {
            Verdict::Retry(retry_state, wait) => {
                self.now += wait;
                response.waits.push(wait.as_secs_f64());
                Next::Retry(retry_state)
            }
            Verdict::Relay(headers, entry) => {
                response.headers =
                    headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
                response.status = if let Failure::Provider { status, .. } = failure { status } else { 0 };
                response.body = String::from_utf8_lossy(&error.body).into_owned();
                Next::End(entry)
            }
            Verdict::Reply(reply, entry) => {
                *response = std::mem::take(response).with_reply(reply);
                Next::End(entry)
            }
        }
    }
}
