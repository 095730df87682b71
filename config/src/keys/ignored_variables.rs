//! Environment variables of LiteLLM's proxy that have no effect here: a warning for each that is
//! set.

use super::phrases::{LOG_LEVEL, NO_DATABASE, NO_LOGIN, NO_UI, TOKEN, UNCHANGED};
use crate::config::Deployment;
use crate::diagnostics::{Path, Place};
use crate::values::Reader;

/// Variables, the message and the advice.
struct Row(&'static [&'static str], &'static str, &'static str);

const KEEP: &str = "unset it, or keep it for LiteLLM";
const COMMAND: &str = "has no effect: LiteLLM's command reads it";
const RETRIES: &str = "has no effect on retries";
const CLIENTS_TLS: &str = "has no effect: the gateway serves clients without TLS";
const ENCRYPTION: &str = "has no effect: connections to providers use TLS 1.2 or 1.3 with Envoy's defaults";

/// From LiteLLM's `proxy_cli.py`, `constants.py`, `proxy_server.py` and `http_handler.py`.
const ROWS: &[Row] = &[
    Row(&["DATABASE_URL", "DATABASE_HOST", "DIRECT_URL", "STORE_MODEL_IN_DB"], NO_DATABASE, KEEP),
    Row(&["LITELLM_SALT_KEY"], "has no effect: nothing is stored encrypted", KEEP),
    Row(&["UI_USERNAME", "UI_PASSWORD"], NO_UI, KEEP),
    Row(&["HOST"], COMMAND, "use --host"),
    Row(&["PORT"], COMMAND, "use --port"),
    Row(&["NUM_WORKERS"], COMMAND, "use --concurrency"),
    Row(&["CONFIG_FILE_PATH"], COMMAND, "use --config"),
    Row(&["KEEPALIVE_TIMEOUT", "LIMIT_CONCURRENCY", "MAX_REQUESTS_BEFORE_RESTART"], COMMAND, KEEP),
    Row(&["LITELLM_LOG", "DETAILED_DEBUG"], "has no effect on the log", LOG_LEVEL),
    Row(
        &["LITELLM_CONFIG_BUCKET_NAME", "LITELLM_CONFIG_BUCKET_OBJECT_KEY"],
        "has no effect: the file is not fetched from a bucket",
        "fetch it, and use --config",
    ),
    Row(
        &["SERVER_ROOT_PATH"],
        "has no effect: routes begin at /",
        "remove the prefix in front of this gateway",
    ),
    Row(&["SSL_KEYFILE_PATH", "SSL_CERTFILE_PATH"], CLIENTS_TLS, "terminate TLS in front of this gateway"),
    Row(
        &["SSL_CERTIFICATE"],
        "has no effect: client certificates are not supported",
        "put a proxy with the certificate in between",
    ),
    Row(&["SSL_SECURITY_LEVEL", "SSL_ECDH_CURVE"], ENCRYPTION, KEEP),
    Row(&["DEFAULT_MAX_RETRIES"], RETRIES, "set router_settings.num_retries"),
    Row(&["INITIAL_RETRY_DELAY", "MAX_RETRY_DELAY", "JITTER"], RETRIES, "set router_settings.retry_after"),
    Row(&["DEFAULT_ALLOWED_FAILS"], "has no effect on cooldowns", "set router_settings.allowed_fails"),
    Row(
        &[
            "REDIS_SOCKET_TIMEOUT",
            "REDIS_CIRCUIT_BREAKER_ENABLED",
            "REDIS_CIRCUIT_BREAKER_FAILURE_THRESHOLD",
            "REDIS_CIRCUIT_BREAKER_RECOVERY_TIMEOUT",
            "DEFAULT_COOLDOWN_REDIS_READ_INTERVAL_SECONDS",
        ],
        "has no effect: timeouts of Redis are fixed",
        KEEP,
    ),
    Row(&["OPENAI_API_TYPE", "AZURE_API_TYPE"], "has no effect", "write azure/<deployment> as the model"),
    Row(&["LITELLM_MODIFY_PARAMS"], UNCHANGED, KEEP),
    Row(
        &["LITELLM_USE_CHAT_COMPLETIONS_URL_FOR_ANTHROPIC_MESSAGES"],
        "has no effect: /v1/messages is not translated, and fails where the provider does not serve it",
        "let clients use /v1/chat/completions",
    ),
    Row(
        &["LITELLM_ROUTE_ALL_CHAT_OPENAI_TO_RESPONSES"],
        "has no effect: chats are not translated, and reach the provider's /v1/chat/completions",
        "let clients use /v1/responses",
    ),
    Row(&["LITELLM_REASONING_AUTO_SUMMARY"], UNCHANGED, "let the client set reasoning.summary"),
    Row(&["USE_LITELLM_PROXY"], "has no effect", "write litellm_proxy/<name> as the model"),
];

/// Reported if a deployment has that provider.
const OF_PROVIDERS: &[(&[&str], Row)] = &[
    (
        &["azure", "azure_ai"],
        Row(&["AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET", "AZURE_USERNAME", "AZURE_PASSWORD"], NO_LOGIN, TOKEN),
    ),
    (
        &["vertex_ai"],
        Row(
            &["GOOGLE_APPLICATION_CREDENTIALS", "VERTEXAI_CREDENTIALS"],
            NO_LOGIN,
            "set api_key to an access token",
        ),
    ),
];

/// Reported if the file configures no Redis.
const OF_REDIS: Row = Row(
    &["REDIS_URL", "REDIS_HOST"],
    "has no effect: the file configures no Redis, so each instance counts for itself",
    "set router_settings.redis_url or redis_host to share limits",
);

/// Warns of variables that are set, unless to a word for "no".
pub(crate) fn warn_of_ignored_variables(
    reader: &mut Reader<'_>,
    place: Place,
    deployments: &[Deployment],
    has_redis: bool,
) {
    // The filter prints no warnings, and is smaller without these.
    if cfg!(target_family = "wasm") {
        return;
    }
    ROWS.iter().for_each(|row| row.check(reader, place));
    for (providers, row) in OF_PROVIDERS {
        if deployments.iter().any(|deployment| providers.contains(&deployment.provider.as_str())) {
            row.check(reader, place);
        }
    }
    if !has_redis {
        OF_REDIS.check(reader, place);
    }
}

impl Row {
    fn check(&self, reader: &mut Reader<'_>, place: Place) {
        let Self(names, message, advice) = self;
        for name in *names {
            if is_set(reader, name) {
                reader.report.warn(place, &Path::top(name), message, advice);
            }
        }
    }
}

fn is_set(reader: &Reader<'_>, name: &str) -> bool {
    let value = reader.env.peek(name).map(|(value, _)| value.trim().to_ascii_lowercase());
    value.is_some_and(|value| !matches!(value.as_str(), "" | "0" | "false" | "no" | "off" | "none"))
}

#[cfg(test)]
mod tests {
    use super::{OF_REDIS, ROWS};
    use crate::read;

    const FILE: &str = "model_list:\n- {model_name: g, litellm_params: {model: hosted_vllm/m, api_base: 'http://vllm/v1'}}\n";

    #[test]
    fn each_that_is_set_has_one_warning_without_its_value() {
        for name in ROWS.iter().chain([&OF_REDIS]).flat_map(|row| row.0) {
            let lookup = |variable: &str| (variable == *name).then(|| "v-a-l-u-e".to_owned());
            let reading = read("config.yaml", FILE, &lookup);
            let [finding] = reading.findings.as_slice() else { panic!("{name}: {:?}", reading.findings) };
            assert_eq!(finding.path, *name);
            assert!(!finding.to_string().contains("v-a-l-u-e"), "{finding}");
            assert!(
                reading.config.is_some_and(|config| !config.env_names.iter().any(|it| it == name)),
                "{name}"
            );
        }
    }

    #[test]
    fn a_login_is_reported_where_a_deployment_might_need_it() {
        let about = |model: &str, variable: &str| {
            let text = format!(
                "model_list:\n- {{model_name: g, litellm_params: {{model: {model}, api_base: 'https://a/', api_key: k, vertex_project: p}}}}\n"
            );
            let findings =
                read("config.yaml", &text, &|name| (name == variable).then(|| "x".to_owned())).findings;
            findings.iter().any(|finding| finding.path == variable)
        };
        for (model, could_log_in) in [("azure/d", true), ("azure_ai/m", true), ("openai/m", false)] {
            assert_eq!(about(model, "AZURE_CLIENT_SECRET"), could_log_in, "{model}");
        }
        let google = "GOOGLE_APPLICATION_CREDENTIALS";
        assert!(about("vertex_ai/gemini", google) && !about("azure/d", google));
    }

    #[test]
    fn a_variable_that_says_no_has_no_warning() {
        for value in ["", " ", "False", "0", "off", "None"] {
            let lookup = |variable: &str| (variable == "STORE_MODEL_IN_DB").then(|| value.to_owned());
            assert!(read("config.yaml", FILE, &lookup).findings.is_empty(), "{value:?}");
        }
    }

    #[test]
    fn no_variable_is_listed_twice() {
        let mut names: Vec<_> = ROWS.iter().flat_map(|row| row.0).collect();
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
