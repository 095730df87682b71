//! A request's headers have come: who may ask, and what for.

use crate::attempt::RetryState;
use crate::http::auth;
use crate::http::headers::Headers;
use crate::http::reply::Reply;
use crate::http::route::{Route, single_slashed};
use crate::models::listing;
use crate::outcome::Outcome;
use crate::request::parse::Request;
use crate::request::refusal::Refusal;
use crate::request::routing_params::AllowedParams;
use crate::router::{Arrival, Router};
use crate::telemetry::access_log::AccessLogEntry;
use crate::telemetry::explain;
use crate::upstream::health;

impl Router {
    /// Looks at a request's headers; `complete` says that no body follows.
    pub fn on_request_headers(&self, headers: &Headers, complete: bool) -> Arrival {
        self.try_request_headers(headers, complete).unwrap_or_else(|refusal| {
            let entry = AccessLogEntry::of_refusal(&refusal);
            Arrival::Reply(refusal.reply(), Some(Box::new(entry)))
        })
    }

    fn try_request_headers(&self, headers: &Headers, complete: bool) -> Result<Arrival, Refusal> {
        let target = headers.get(":path").unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let path = single_slashed(path);
        let route = Route::of(&path);
        if !route.is_open() {
            auth::check(self.config.server.master_key.as_ref(), headers).map_err(Refusal::Unauthorized)?;
        }
        let method = headers.get(":method").unwrap_or_default();
        if is_upgrade(method, headers) {
            return Err(Refusal::Upgrade);
        }
        if route == Route::Unknown {
            let (asked, origin) = (format!("{method} {path}"), origin(headers));
            return Err(Refusal::NoSuchRoute { asked, origin, meant: Route::meant_by(&path) });
        }
        if method != route.method() && !(method == "HEAD" && route.method() == "GET") {
            return Err(Refusal::WrongMethod(route.method()));
        }
        let Route::Model(route, model) = route else { return self.informed(route, query) };
        self.check_length(headers)?;
        let allowed = AllowedParams::of(&self.config);
        let mut request = Request::new(route, model.as_deref(), query, headers, allowed)?;
        request.explain = explain::is_requested(&self.config, headers);
        // Without a body there is nothing to send, and no callback would ever come.
        if complete {
            request.parsed(b"")?;
            return Err(Refusal::NoBody);
        }
        Ok(Arrival::Hold(Box::new(request)))
    }

    fn check_length(&self, headers: &Headers) -> Result<(), Refusal> {
        let limit = self.config.server.max_body_bytes;
        let length = headers.get("content-length").and_then(|length| length.parse::<u64>().ok());
        if length.is_some_and(|length| length > limit) { Err(Refusal::TooLarge(limit)) } else { Ok(()) }
    }

    fn no_such_model(&self, id: &str) -> Refusal {
        match self.groups.why_skipped(id) {
            Some(reason) => Refusal::Skipped(id.to_owned(), reason.to_owned()),
            None => Refusal::NoSuchModel(id.to_owned()),
        }
    }

    /// The routes that ask about the configuration rather than for a model.
    fn informed(&self, route: Route<'_>, query: &str) -> Result<Arrival, Refusal> {
        let reply = match &route {
            Route::Models => listing::models(&self.config),
            Route::ModelById(id) => match self.groups.resolve(id) {
                Ok(resolved) => listing::model(&self.config, id, &resolved.pool.members),
                Err(_) => return Err(self.no_such_model(id)),
            },
            Route::ModelInfo => listing::model_info(&self.config, query),
            Route::ModelGroupInfo => listing::model_group_info(&self.config, query),
            Route::Health => return Ok(Arrival::Probe(health::probed(&self.config, query))),
            Route::Liveliness => "\"I'm alive!\"".to_owned(),
            Route::Readiness | Route::Model(..) | Route::Unknown => {
                r#"{"status":"healthy","db":"Not connected"}"#.to_owned()
            }
        };
        let is_logged = !matches!(route, Route::Liveliness | Route::Readiness);
        let entry = || Box::new(AccessLogEntry::new(RetryState::default(), Outcome::Success, 200));
        Ok(Arrival::Reply(Reply::ok(reply), is_logged.then(entry)))
    }
}

/// Whether a client asks for a WebSocket. The edge refuses that by itself; a gateway's own listener may let it through.
fn is_upgrade(method: &str, headers: &Headers) -> bool {
    // HTTP/2 asks by another method, HTTP/1.1 by a header.
    let protocol = headers.get(if method == "CONNECT" { ":protocol" } else { "upgrade" });
    protocol.is_some_and(|protocol| protocol.eq_ignore_ascii_case("websocket"))
}

/// Scheme and host by which the client has come.
fn origin(headers: &Headers) -> String {
    let scheme = if headers.get("x-forwarded-proto") == Some("https") { "https" } else { "http" };
    format!("{scheme}://{}", headers.get(":authority").filter(|host| !host.is_empty()).unwrap_or("this-host"))
}
