//! The routes about one response, which its deployment serves.

use crate::http::route::{ModelRoute, RESPONSES, json};

/// A route about one response, which names no model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseRoute {
    /// `GET` and `DELETE /v1/responses/{id}`
    Response,
    /// `POST /v1/responses/{id}/cancel`
    Cancel,
    /// `GET /v1/responses/{id}/input_items`
    InputItems,
}

impl ResponseRoute {
    /// How metrics, logs and checks name it.
    pub fn route(self) -> ModelRoute {
        json(match self {
            Self::Response => "/responses/{id}",
            Self::Cancel => "/responses/{id}/cancel",
            Self::InputItems => "/responses/{id}/input_items",
        })
    }

    /// The path behind the response's id.
    pub fn tail(self) -> &'static str {
        match self {
            Self::Response => "",
            Self::Cancel => "/cancel",
            Self::InputItems => "/input_items",
        }
    }

    /// The same method as the client's; `None` if the route has none of that name.
    pub fn method(self, method: &str) -> Option<&'static str> {
        match (self, method) {
            (Self::Response | Self::InputItems, "GET") => Some("GET"),
            (Self::Response, "DELETE") => Some("DELETE"),
            (Self::Cancel, "POST") => Some("POST"),
            _ => None,
        }
    }

    /// The route of a path behind the base, with the response's id.
    pub(super) fn parse(path: &str) -> Option<(Self, &str)> {
        let rest = path.strip_prefix(RESPONSES)?.strip_prefix('/')?;
        let (id, route) = match rest.split_once('/') {
            None => (rest, Self::Response),
            Some((id, "cancel")) => (id, Self::Cancel),
            Some((id, "input_items")) => (id, Self::InputItems),
            Some(_) => return None,
        };
        is_response_id(id).then_some((route, id))
    }
}

/// Characters of a response's id at most.
const MAX_RESPONSE_ID: usize = 512;

/// Whether a part of a path may be the id of a response. It goes into the path to the provider as
/// it is. Two names are routes of their own.
fn is_response_id(id: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.:~=+".contains(&byte);
    !matches!(id, "" | "." | ".." | "compact" | "input_tokens")
        && id.len() <= MAX_RESPONSE_ID
        && id.bytes().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::route::Route;

    #[test]
    fn a_response_has_routes_of_its_own() {
        for base in ["", "/v1", "/openai", "/openai/v1"] {
            for (rest, route, method) in [
                ("/responses/resp_1", ResponseRoute::Response, "DELETE"),
                ("/responses/resp_1/", ResponseRoute::Response, "GET"),
                ("/responses/resp_1/cancel", ResponseRoute::Cancel, "POST"),
                ("/responses/resp_1/input_items", ResponseRoute::InputItems, "GET"),
            ] {
                let path = format!("{base}{rest}");
                let parsed = Route::parse(&path);
                assert_eq!(parsed, Route::Response(route, "resp_1"), "{path}");
                assert!(parsed.has_method(method) && !parsed.has_method("PUT"), "{path}");
                assert!(parsed.methods().contains(method), "{path}");
            }
        }
        let long = format!("/v1/responses/{}", "x".repeat(MAX_RESPONSE_ID + 1));
        for unknown in [
            "/v1/responses/a/output",
            "/v1/responses/a%2Fb",
            "/v1/responses/..",
            "/v1/responses/a b",
            "/v1/responses/a?",
            "/v1/responses/compact/cancel",
            "/v1/responses/input_tokens/input_items",
            "/v1/responses/../cancel",
            "/openai/deployments/g/responses/resp_1",
            &long,
        ] {
            assert_eq!(Route::parse(unknown), Route::Unknown, "{unknown}");
        }
    }
}
