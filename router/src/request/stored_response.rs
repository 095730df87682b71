//! A request about a response that a deployment has stored: to get, cancel or delete it. It has no
//! model and no body that matters.

use crate::http::json::Object;
use crate::http::route::{ResponseRoute, query_value};
use crate::request::overrides::RequestOverrides;
use crate::request::parse::{ParsedRequest, Payload};
use crate::request::references::Reference;
use crate::request::refusal::Refusal;
use crate::request::routing_params::RoutingParams;
use crate::request::sent_members::SentMembers;

/// What a request says of a stored response.
#[derive(Clone, Debug)]
pub struct StoredResponse {
    /// Its route.
    pub route: ResponseRoute,
    /// GET, POST or DELETE.
    pub method: &'static str,
    /// The response's id.
    pub id: String,
    /// The query of the client, without a question mark.
    pub query: String,
}

impl StoredResponse {
    /// The response, as it is remembered.
    pub fn reference(&self, caller: u64) -> Reference {
        Reference::response(&self.id, caller)
    }

    /// Whether the request deletes the response.
    pub fn deletes(&self) -> bool {
        self.method == "DELETE"
    }

    /// The request as any other. Fallbacks are other models, which do not know the response.
    ///
    /// # Errors
    /// None: it has no body that could be invalid.
    pub fn parsed(&self, overrides: RequestOverrides) -> Result<ParsedRequest<'_>, Refusal> {
        let nothing = Object::parse(b"{}").map_err(|_| Refusal::NotAnObject)?;
        Ok(ParsedRequest {
            payload: Payload::Json(SentMembers::of(nothing)),
            model: "".into(),
            stream: query_value(&self.query, "stream").as_deref() == Some("true"),
            client_wants_usage: false,
            overrides,
            routing: RoutingParams { disable_fallbacks: true, ..RoutingParams::default() },
        })
    }
}
