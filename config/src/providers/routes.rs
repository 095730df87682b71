//! What `api_base` may contain beyond the base: a route, a deployment, an api-version.

use super::base_url::BaseUrl;
use super::provider::Protocol;
use crate::config::Wire;
use crate::diagnostics::ADVISES;

/// OpenAI's routes, which requests add to the base.
const ROUTES: [&str; 15] = [
    "/chat/completions", "/completions", "/embeddings", "/responses", "/audio/transcriptions",
    "/audio/translations", "/audio/speech", "/images/generations", "/images/edits", "/images/variations",
    "/moderations", "/rerank", "/realtime", "/batches", "/models",
];

/// Ollama's own routes.
const OLLAMA: [&str; 6] =
    ["/api/generate", "/api/chat", "/api/embed", "/api/embeddings", "/api/tags", "/api/show"];

/// Routes of other formats.
const OTHERS: [&str; 13] = [
    "/v1/messages", "/generate", "/generate_stream", "/completion", "/infill", "/invocations", "/invoke",
    "/invoke-with-response-stream", "/converse", "/converse-stream", "/predict", "/score", "/infer",
];

impl BaseUrl {
    /// Removes and returns a route of OpenAI's, or of Ollama's at an Ollama server, at the end of
    /// the path.
    pub(super) fn trim_route(&mut self, protocol: Protocol) -> Option<&'static str> {
        // The base of Azure AI Foundry.
        let has_models = protocol == Protocol::AzureAi || self.is_foundry();
        let routes = ROUTES.iter().filter(|route| !has_models || **route != "/models");
        let ollama = OLLAMA.iter().filter(|_| protocol == Protocol::Ollama);
        // Ollama's first: `/api/embeddings` also ends in OpenAI's `/embeddings`.
        let route = ollama.chain(routes).find(|route| self.ends_in(route)).copied()?;
        let end = self.path.len().saturating_sub(route.len());
        self.path.truncate(end);
        self.path.truncate(self.path.trim_end_matches('/').len());
        Some(route)
    }

    /// A route of another format at the end of the path, with advice.
    pub(super) fn foreign_route(&self, protocol: Protocol, wire: Wire) -> Option<(&str, String)> {
        let last = self.path.rsplit('/').next().unwrap_or_default();
        if last.contains(':') {
            return Some((last, format!("write {} and the path before the model", self.root())));
        }
        if protocol == Protocol::Ollama {
            return None;
        }
        if let Some(route) = OLLAMA.iter().find(|route| self.ends_in(route)) {
            let before = self.path.len().saturating_sub(route.len());
            let before = self.path.get(..before).unwrap_or_default();
            return Some((
                route,
                format!("write {}{before}/v1, Ollama's OpenAI-compatible API", self.root()),
            ));
        }
        let serves_messages = protocol == Protocol::Anthropic || wire == Wire::Anthropic;
        let others = OTHERS.iter().filter(|route| !serves_messages || **route != "/v1/messages");
        let route = others.into_iter().find(|route| self.ends_in(route))?;
        let advice = match *route {
            "/v1/messages" if ADVISES => "add llm_balancer: {wire: anthropic} if clients use /v1/messages",
            _ => "write the base of OpenAI's routes, such as https://host/v1",
        };
        Some((route, advice.to_owned()))
    }

    /// Whether the host is one of Azure AI Foundry.
    pub(super) fn is_foundry(&self) -> bool {
        self.host.ends_with(".services.ai.azure.com")
    }

    fn root(&self) -> String {
        Self { path: String::new(), query: None, ..self.clone() }.display_url()
    }

    fn ends_in(&self, route: &str) -> bool {
        let start = self.path.len().checked_sub(route.len());
        start.and_then(|start| self.path.get(start..)).is_some_and(|end| end.eq_ignore_ascii_case(route))
    }

    /// Removes `/openai/deployments/<name>` from the end of the path, and returns the name.
    pub(super) fn take_deployment(&mut self) -> Option<String> {
        let (before, name) = self.path.split_once("/openai/deployments/")?;
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
        if name.is_empty() || !name.bytes().all(is_plain) {
            return None;
        }
        let (before, name) = (before.to_owned(), name.to_owned());
        self.path = before;
        Some(name)
    }

    /// The api-version in the query.
    pub(super) fn api_version(&self) -> Option<&str> {
        self.query.as_deref()?.split('&').find_map(|pair| pair.strip_prefix("api-version="))
    }
}

/// The version in `api_version`, without quotes and the name of the parameter, which people copy
/// along.
pub(super) fn cleaned_version(written: &str) -> Option<String> {
    let is_around = |char: char| char.is_whitespace() || matches!(char, '"' | '\'' | '`' | '?' | '&' | ';');
    let mut text = written.trim_matches(is_around);
    for name in ["api-version", "api_version"] {
        if text.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name)) {
            text = text.get(name.len()..).unwrap_or_default().trim_start_matches([' ', '=', ':']);
        }
    }
    let text = text.trim_matches(is_around);
    let is_version = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    (!text.is_empty() && text.len() <= 64 && text.bytes().all(is_version)).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::base_url;

    #[test]
    fn a_route_of_openais_is_removed() {
        let rows = [
            ("https://x/v1/audio/speech", Protocol::OpenAi, "/v1"),
            ("https://x/v1/images/generations/", Protocol::OpenAi, "/v1"),
            ("https://x/v1/Chat/Completions", Protocol::OpenAi, "/v1"),
            ("https://x/rerank", Protocol::OpenAi, ""),
            ("http://x/api/generate", Protocol::Ollama, ""),
            ("http://x/api/embeddings", Protocol::Ollama, ""),
            ("https://x/models/chat/completions", Protocol::AzureAi, "/models"),
        ];
        for (url, protocol, path) in rows {
            let mut base = base_url::parse(url).ok().unwrap();
            assert!(base.trim_route(protocol).is_some(), "{url}");
            assert_eq!(base.path, path, "{url}");
        }
        for (url, protocol) in [
            ("https://x/models", Protocol::AzureAi),
            ("https://x.services.ai.azure.com/models", Protocol::OpenAi),
        ] {
            assert!(base_url::parse(url).ok().unwrap().trim_route(protocol).is_none(), "{url}");
        }
    }

    #[test]
    fn a_route_of_another_format_is_found() {
        for url in [
            "http://ollama:11434/api/chat",
            "http://tgi/generate_stream",
            "https://api.anthropic.com/v1/messages",
            "https://x/v1beta/models/gemini-pro:generateContent",
            "https://x/model/m/converse",
        ] {
            assert!(
                base_url::parse(url).ok().unwrap().foreign_route(Protocol::OpenAi, Wire::OpenAi).is_some(),
                "{url}"
            );
        }
        for url in ["https://x/v1", "https://x/completion/v1", "http://x:8000"] {
            assert!(
                base_url::parse(url).ok().unwrap().foreign_route(Protocol::OpenAi, Wire::OpenAi).is_none(),
                "{url}"
            );
        }
    }

    #[test]
    fn a_version_is_cleaned_or_invalid() {
        for written in [
            "2024-06-01", " 2024-06-01 ", "api-version=2024-06-01", "?api-version=2024-06-01",
            "\"2024-06-01\"", "api_version: '2024-06-01'", "&api-version=2024-06-01&",
        ] {
            assert_eq!(cleaned_version(written).as_deref(), Some("2024-06-01"), "{written}");
        }
        for written in ["", "api-version=", "2024 06", "2024-06-01&x=y", "2024/06/01", "v\n1"] {
            assert_eq!(cleaned_version(written), None, "{written}");
        }
    }
}
