//! The responses that each deployment has stored: it knows its own, and no other deployment's.

use std::collections::{HashMap, HashSet};

use serde_json::{Value, json};

use super::responses;
use crate::answer::{Answer, Usage};
use crate::received::Received;

/// What deployments have made, by the deployment's name and its own id.
#[derive(Debug, Default)]
pub(crate) struct Stored {
    responses: HashMap<(String, String), Received>,
    /// The items of their output.
    items: HashSet<(String, String)>,
}

/// The events of a stream that is replayed.
const EVENTS: usize = 3;

impl Stored {
    /// What the deployment answers by what it has stored; `None` where that makes no difference.
    pub(crate) fn answer(&mut self, request: &Received, usage: Usage) -> Option<Answer> {
        let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
        let (_, route) = path.split_once("/responses")?;
        match route.strip_prefix('/') {
            None => self.create(request, usage),
            Some("compact" | "input_tokens") => self.refused(request),
            Some(rest) => {
                let (id, route) = rest.split_once('/').unwrap_or((rest, ""));
                Some(self.about(request, (id, route), query, usage))
            }
        }
    }

    fn create(&mut self, request: &Received, usage: Usage) -> Option<Answer> {
        let refused = self.refused(request);
        if refused.is_none() && request.json()["store"] != json!(false) {
            let response = responses::response(request, usage);
            let ids =
                response["output"].as_array().into_iter().flatten().filter_map(|item| item["id"].as_str());
            self.items.extend(ids.map(|id| (request.name.clone(), id.to_owned())));
            self.responses.insert((request.name.clone(), responses::id(request)), request.clone());
        }
        refused
    }

    /// The error of a request that refers to what this deployment has not made.
    fn refused(&self, request: &Received) -> Option<Answer> {
        let body = request.json();
        let knows = |id: &str| self.responses.contains_key(&(request.name.clone(), id.to_owned()));
        if let Some(id) = body["previous_response_id"].as_str().filter(|id| !knows(id)) {
            let message = format!("Previous response with id '{id}' not found.");
            return Some(refusal(400, &message, Some("previous_response_id"), "previous_response_not_found"));
        }
        // The id of a conversation names its deployment.
        if let Some(id) = responses::conversation(&body).filter(|id| !id.contains(&request.name)) {
            return Some(refusal(404, &format!("Conversation with id '{id}' not found."), None, ""));
        }
        let items = || body["input"].as_array().into_iter().flatten();
        // Whole items serve without their ids, but for reasoning.
        let is_looked_up = |item: &&Value| {
            item["type"] == "item_reference"
                || item["type"] == "reasoning" && item["encrypted_content"].is_null()
        };
        let is_known = |id: &str| self.items.contains(&(request.name.clone(), id.to_owned()));
        let mut ids = items().filter(is_looked_up).filter_map(|item| item["id"].as_str());
        if let Some(id) = ids.find(|id| !is_known(id)) {
            let message = format!(
                "Item with id '{id}' not found. Items are not persisted when `store` is set to false. Try \
                 again with `store` set to true, or remove this item from your input."
            );
            return Some(refusal(404, &message, Some("input"), ""));
        }
        let mut encrypted = items().filter_map(|item| item["encrypted_content"].as_str());
        if encrypted.any(|content| !content.starts_with(&responses::encryption(request))) {
            let message = "The encrypted content could not be verified.";
            return Some(refusal(400, message, None, "invalid_encrypted_content"));
        }
        None
    }

    fn about(&mut self, request: &Received, (id, route): (&str, &str), query: &str, usage: Usage) -> Answer {
        let key = (request.name.clone(), id.to_owned());
        let Some(made) = self.responses.get(&key) else {
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
                self.responses.remove(&key);
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
