//! The headers of a request have arrived: its route, its key, and the routes that the configuration
//! answers.

use llm_balancer_config::{Config, Wire};

use super::{Arrival, Router};
use crate::attempt::RetryState;
use crate::http::auth;
use crate::http::headers::Headers;
use crate::http::reply::Reply;
use crate::http::route::{ResponseRoute, Route, merge_slashes, query_value};
use crate::models::groups::Groups;
use crate::models::listing;
use crate::outcome::Outcome;
use crate::request::model_name;
use crate::request::parse::Request;
use crate::request::refusal::Refusal;
use crate::request::routing_params::AllowedParams;
use crate::request::stored_response::StoredResponse;
use crate::telemetry::access_log::AccessLogEntry;
use crate::telemetry::explain;
use crate::upstream::health::ToProbe;

/// See [`Router::on_request_headers`].
pub(super) fn on_request_headers(router: &Router, headers: &Headers, end_of_stream: bool) -> Arrival {
    arrival(router, headers, end_of_stream).unwrap_or_else(|refusal| {
        let entry = AccessLogEntry::of_refusal(&refusal);
        Arrival::Reply(refusal.reply(wire(headers)), Some(Box::new(entry)))
    })
}

/// The API whose errors the client of a request reads: that of the route, or Anthropic's where a
/// header of its clients says so.
pub fn wire(headers: &Headers) -> Wire {
    if headers.get("anthropic-version").is_some() {
        return Wire::Anthropic;
    }
    let path = headers.get(":path").unwrap_or_default();
    Route::parse(&merge_slashes(path.split_once('?').map_or(path, |(path, _)| path))).wire()
}

fn arrival(router: &Router, headers: &Headers, end_of_stream: bool) -> Result<Arrival, Refusal> {
    let (config, allowed) = (&router.config, router.allowed);
    let target = headers.get(":path").unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let path = merge_slashes(path);
    let route = Route::parse(&path);
    if !route.is_public() {
        let server = &config.server;
        auth::check(server.master_key.as_ref(), server.key_header.as_deref(), headers)
            .map_err(Refusal::Unauthorized)?;
    }
    let route = match route {
        Route::Model(_, Some(model)) if is_below_a_model(&router.groups, &model) => Route::Unknown,
        route => route,
    };
    check_method(&route, &path, headers)?;
    let mut request = match route {
        Route::Model(route, model) => Request::new(route, model.as_deref(), query, headers, allowed)?,
        Route::Response(route, id) => stored_response(route, id, query, headers, allowed)?,
        _ => return answered(router, route, query, wire(headers)),
    };
    check_length(config.server.max_body_bytes, headers)?;
    request.explain = explain::is_requested(config, headers);
    if let Some(key_header) = &config.server.key_header {
        request.forwarded.retain(|(name, _)| name != key_header);
    }
    let refers = request.route.refers_to_responses() || request.stored.is_some();
    // With a master key, all clients have the same.
    if (allowed.affinity || refers) && config.server.master_key.is_none() {
        request.client = auth::client(headers);
    }
    // Without a body, Envoy makes no further callback for the request.
    if end_of_stream && request.stored.is_none() {
        request.parsed(b"")?;
        return Err(Refusal::NoBody);
    }
    Ok(Arrival::Hold(Box::new(request)))
}

/// A request about a stored response, of a method that has been checked.
fn stored_response(
    route: ResponseRoute,
    id: &str,
    query: &str,
    headers: &Headers,
    allowed: AllowedParams,
) -> Result<Request, Refusal> {
    let method = route.method(headers.get(":method").unwrap_or_default()).unwrap_or("GET");
    let stored = StoredResponse { route, method, id: id.to_owned(), query: query.to_owned() };
    let request = Request::new(route.route(), None, "", headers, allowed)?;
    Ok(Request { stored: Some(Box::new(stored)), ..request })
}

/// Whether the name in a path is unknown, and that of a model and more segments: the route behind it
/// is then none that is served, such as `/openai/deployments/gpt-4/extensions/chat/completions`.
fn is_below_a_model(groups: &Groups, name: &str) -> bool {
    let is_known = |name: &str| groups.resolve(name).is_ok();
    let mut fronts = name.match_indices('/').filter_map(|(at, _)| name.get(..at));
    name.contains('/') && model_name::is_sendable(name) && !is_known(name) && fronts.any(is_known)
}

fn check_method(route: &Route<'_>, path: &str, headers: &Headers) -> Result<(), Refusal> {
    let method = headers.get(":method").unwrap_or_default();
    if is_upgrade(method, headers) {
        return Err(Refusal::Upgrade);
    }
    if *route == Route::Unknown {
        let (asked, origin) = (format!("{method} {path}"), origin(headers));
        return Err(Refusal::NoSuchRoute { asked, origin, meant: Route::suggestion(path) });
    }
    if !route.has_method(method) {
        return Err(Refusal::WrongMethod(route.methods()));
    }
    Ok(())
}

fn check_length(limit: u64, headers: &Headers) -> Result<(), Refusal> {
    let length = headers.get("content-length").and_then(|length| length.parse::<u64>().ok());
    if length.is_some_and(|length| length > limit) { Err(Refusal::TooLarge(limit)) } else { Ok(()) }
}

/// The routes that need no deployment's answer, for a client of this API.
fn answered(router: &Router, route: Route<'_>, query: &str, client: Wire) -> Result<Arrival, Refusal> {
    let (config, groups) = (&router.config, &router.groups);
    let body = match &route {
        Route::Models => listing::models(config, query, client)?,
        Route::ModelById(id) => match groups.resolve(id) {
            Ok(resolved) => listing::model(config, id, &resolved.pool.members, client),
            Err(_) => return Err(no_such_model(groups, id)),
        },
        Route::ModelInfo => model_info(config, query)?,
        Route::ModelGroupInfo => listing::model_group_info(config, query),
        Route::Health => return Ok(Arrival::Probe(to_probe(config, groups, query)?)),
        Route::Liveliness => "\"I'm alive!\"".to_owned(),
        Route::Readiness | Route::Model(..) | Route::Response(..) | Route::Unknown => {
            r#"{"status":"healthy","db":"Not connected"}"#.to_owned()
        }
    };
    let is_logged = !matches!(route, Route::Liveliness | Route::Readiness);
    let entry = || Box::new(AccessLogEntry::new(RetryState::default(), Outcome::Success, 200));
    Ok(Arrival::Reply(Reply::ok(body), is_logged.then(entry)))
}

/// As in LiteLLM, `model_id` goes before `model`.
fn to_probe(config: &Config, groups: &Groups, query: &str) -> Result<ToProbe, Refusal> {
    let (id, model) = (query_value(query, "model_id"), query_value(query, "model"));
    let is_named = id.is_some() || model.is_some();
    let deployments = match (id, model) {
        (Some(id), _) => {
            let place = config.deployments.iter().position(|deployment| *deployment.id == *id);
            vec![place.ok_or_else(|| Refusal::NoSuchModel(id.into_owned()))?]
        }
        // A name that leads nowhere has no healthy deployment.
        (None, Some(model)) => groups.members(&model),
        (None, None) => (0..config.deployments.len()).collect(),
    };
    Ok(ToProbe { deployments, is_named })
}

fn model_info(config: &Config, query: &str) -> Result<String, Refusal> {
    let id = query_value(query, "litellm_model_id");
    let is_known = |id: &str| config.deployments.iter().any(|deployment| *deployment.id == *id);
    if id.as_deref().is_none_or(is_known) {
        Ok(listing::model_info(config, id.as_deref()))
    } else {
        Err(Refusal::Parameter("litellm_model_id".to_owned(), "the id of a deployment"))
    }
}

fn no_such_model(groups: &Groups, id: &str) -> Refusal {
    match groups.why_skipped(id) {
        Some(reason) => Refusal::Skipped(id.to_owned(), reason.to_owned()),
        None => Refusal::NoSuchModel(id.to_owned()),
    }
}

/// Whether a client requests a WebSocket. The edge refuses that; a gateway's own listener may not.
fn is_upgrade(method: &str, headers: &Headers) -> bool {
    // HTTP/2 has a method for it (RFC 8441), HTTP/1.1 a header.
    let protocol = headers.get(if method == "CONNECT" { ":protocol" } else { "upgrade" });
    protocol.is_some_and(|offers| {
        offers.split(',').any(|protocol| protocol.trim().eq_ignore_ascii_case("websocket"))
    })
}

/// Whether a body follows that ends, and is not known to be above the limit. Envoy has removed
/// `transfer-encoding`, and `upgrade` if it takes the request for an ordinary one. What follows
/// another is data of the tunnel, whatever length it names.
pub fn sends_body(headers: &Headers, limit: u64) -> bool {
    if headers.get("upgrade").is_some() || headers.get(":method") == Some("CONNECT") {
        return false;
    }
    let length = headers.get("content-length");
    length.is_none_or(|length| length.parse::<u64>().is_ok_and(|length| length <= limit))
}

/// Scheme and host under which the client reaches this server.
fn origin(headers: &Headers) -> String {
    let host = headers.get(":authority").filter(|host| !host.is_empty()).unwrap_or("this-host");
    let scheme = match headers.get("x-forwarded-proto") {
        Some("https") => "https",
        // A load balancer in front may have ended TLS.
        _ if !host.contains(':') => "http(s)",
        _ => "http",
    };
    format!("{scheme}://{host}")
}
