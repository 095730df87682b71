//! The responses that each deployment has stored: it knows its own, and no other deployment's.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::responses;
use crate::answer::{Answer, Usage};
use crate::received::Received;

/// Responses by the deployment's name and their own id.
#[derive(Debug, Default)]
pub(crate) struct Stored(HashMap<(String, String), Received>);

/// The events of a stream that is replayed.
const EVENTS: usize = 3;

impl Stored {
    /// What the deployment answers by what it has stored; `None` where that makes no difference.
    pub(crate) fn answer(&mut self, request: &Received, usage: Usage) -> Option<Answer> {
        let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
        let (_, route) = path.split_once("/responses")?;
        match route.strip_prefix('/') {
            None => self.create(request),
            Some("compact" | "input_tokens") => self.refused(request),
            Some(rest) => {
                let (id, route) = rest.split_once('/').unwrap_or((rest, ""));
                Some(self.about(request, (id, route), query, usage))
            }
        }
    }

    fn create(&mut self, request: &Received) -> Option<Answer> {
        let refused = self.refused(request);
        if refused.is_none() && request.json()["store"] != json!(false) {
            self.0.insert((request.name.clone(), responses::id(request)), request.clone());
        }
        refused
    }

    /// The error of a request that refers to what this deployment has not made.
    fn refused(&self, request: &Received) -> Option<Answer> {
        let body = request.json();
        let knows = |id: &str| self.0.contains_key(&(request.name.clone(), id.to_owned()));
        if let Some(id) = body["previous_response_id"].as_str().filter(|id| !knows(id)) {
            let message = format!("Previous response with id '{id}' not found.");
            return Some(refusal(400, &message, Some("previous_response_id"), "previous_response_not_found"));
        }
        let items = body["input"].as_array().into_iter().flatten();
        let mut encrypted = items.filter_map(|item| item["encrypted_content"].as_str());
        if encrypted.any(|content| !content.starts_with(&responses::encryption(request))) {
            let message = "The encrypted content could not be verified.";
            return Some(refusal(400, message, None, "invalid_encrypted_content"));
        }
        None
    }

    fn about(&mut self, request: &Received, (id, route): (&str, &str), query: &str, usage: Usage) -> Answer {
        let key = (request.name.clone(), id.to_owned());
        let Some(made) = self.0.get(&key) else {
            return refusal(404, &format!("Response with id '{id}' not found."), None, "");
        };
        let is_background = made.json()["background"] == true;
        let answer = match (request.method.as_str(), route) {
            ("GET", "") if query.split('&').any(|pair| pair == "stream=true") => {
                return Answer::pieces(responses::events(made, EVENTS, usage));
            }
            ("GET", "") => responses::response(made, usage),
            ("GET", "input_items") => input_items(made, query),
            ("POST", "cancel") if is_background => {
                let mut response = responses::response(made, usage);
                response["status"] = json!("cancelled");
                response
            }
            ("POST", "cancel") => {
                return refusal(400, "Cannot cancel a synchronous response.", None, "");
            }
            ("DELETE", "") => {
                self.0.remove(&key);
                json!({"id": id, "object": "response", "deleted": true})
            }
            _ => return Answer::status(405),
        };
        Answer::bytes(answer.to_string())
    }
}

fn input_items(made: &Received, query: &str) -> Value {
    let limit = query.split('&').find_map(|pair| pair.strip_prefix("limit=")?.parse().ok());
    let input = &made.json()["input"];
    let texts = match input.as_array() {
        Some(items) => items.clone(),
        None => vec![json!({
            "id": "msg_in", "type": "message", "role": "user", "status": "completed",
            "content": [{"type": "input_text", "text": input}],
        })],
    };
    let data: Vec<_> = texts.into_iter().take(limit.unwrap_or(20)).collect();
    json!({"object": "list", "data": data, "first_id": "msg_in", "last_id": "msg_in", "has_more": false})
}

fn refusal(status: u16, message: &str, param: Option<&str>, code: &str) -> Answer {
    let code = Some(code).filter(|code| !code.is_empty());
    let error =
        json!({"error": {"message": message, "type": "invalid_request_error", "param": param, "code": code}});
    Answer::status(status).body(error.to_string())
}
