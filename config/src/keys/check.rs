//! Warnings and errors about the keys of a section.

use super::support::{Support, Table};
use super::tables;
use crate::diagnostics::{ADVISES, Path};
use crate::values::{Reader, Section, is_literal, is_secret_name};
use crate::yaml::{Entry, Value};

/// Reports keys that are ignored, refused or unknown.
pub(crate) fn check_keys(reader: &mut Reader<'_>, section: &Section<'_>, table: &Table) {
    for entry in section.entries {
        if entry.node.value == Value::Null {
            continue;
        }
        let path = section.path.key(&entry.key);
        match table.find(&entry.key).or_else(|| key_of_a_provider(table, &entry.key)) {
            Some(Support::Applied(_)) => {}
            Some(Support::Ignored(why, advice)) => {
                if !entry.node.is_falsy() {
                    reader.report.warn(entry.place, &path, why.text(), advice.text());
                }
            }
            Some(Support::Refused(why, advice)) => {
                if !entry.node.is_falsy() {
                    let why = if ADVISES { why.text() } else { "unsupported; llm-balancer check says why" };
                    reader.report.unsupported(entry.place, &path, why, advice.text());
                    warn_of_literal(reader, entry, &path);
                }
            }
            // `x-` keys hold anchors for the rest of the file.
            None if table.open || entry.key.starts_with("x-") => {
                warn_of_misspelling(reader, table, entry, &path);
            }
            None => warn_of_unknown(reader, table, entry, &path),
        }
    }
}

/// The key of one provider in litellm_settings, which has the verdict of `api_key` there. The filter
/// has no room for their names.
fn key_of_a_provider(table: &Table, key: &str) -> Option<Support> {
    const KEYS: &[&str] = &[
        "ai21_key", "aleph_alpha_key", "amazon_nova_api_key", "anthropic_key", "azure_key", "baseten_key",
        "bytez_key", "clarifai_key", "cloudflare_api_key", "cohere_key", "cometapi_key", "databricks_key",
        "datarobot_key", "gdc_key", "gigachat_key", "gradient_ai_api_key", "groq_key", "heroku_key",
        "huggingface_key", "inception_key", "infinity_key", "lemonade_key", "llama_api_key", "maritalk_key",
        "nebius_key", "nlp_cloud_key", "novita_api_key", "ollama_key", "openai_key", "openai_like_key",
        "openrouter_key", "ovhcloud_key", "predibase_key", "replicate_key", "sap_service_key",
        "snowflake_key", "togetherai_api_key", "vercel_ai_gateway_key", "wandb_key", "xai_key",
    ];
    let is_one = ADVISES && table.name == "litellm_settings" && KEYS.contains(&key);
    if is_one { table.find("api_key") } else { None }
}

/// Warns of a credential in plain text at a refused key.
fn warn_of_literal(reader: &mut Reader<'_>, entry: &Entry, path: &Path<'_>) {
    if ADVISES
        && is_secret_name(&entry.key)
        && let Value::Text(text) = &entry.node.value
        && is_literal(text)
    {
        reader.warn_of_literal(entry.place, path);
    }
}

/// An unknown key of model_info that resembles a known one. Those of litellm_params are checked
/// where they are sent.
fn warn_of_misspelling(reader: &mut Reader<'_>, table: &Table, entry: &Entry, path: &Path<'_>) {
    if !ADVISES || table.name != "model_info" {
        return;
    }
    if let Some(near) = reader.report.suggestions.key(&entry.key, table.names()) {
        let advice = match tables::settings_with(&entry.key) {
            Some(home) => format!("remove it, it is a key of {home}"),
            None => format!("did you mean {near}?"),
        };
        reader.report.warn(entry.place, path, "unknown key, only shown in listings", &advice);
    }
}

/// A key that is unknown in this section: misspelt, misplaced, or neither.
pub(crate) fn warn_of_unknown(reader: &mut Reader<'_>, table: &Table, entry: &Entry, path: &Path<'_>) {
    if !ADVISES {
        return;
    }
    // A key of another section of settings is no misspelling of one that is here.
    let home = tables::home_of(&entry.key, table.name);
    let is_misplaced = home.is_some() && table.name.ends_with("_settings");
    let near = if is_misplaced { None } else { reader.report.suggestions.key(&entry.key, table.names()) };
    let (message, advice) = if let Some(near) = near {
        let advice = match table.find(near) {
            Some(Support::Refused(_, advice)) => {
                format!("did you mean {near}? It is refused: {}", advice.text())
            }
            _ => format!("did you mean {near}?"),
        };
        ("unknown key, ignored", advice)
    } else if home.is_some() && matches!(&*entry.key, "callbacks" | "success_callback" | "failure_callback") {
        // It would be refused or ignored there.
        ("has no effect here, as in LiteLLM", "remove it".to_owned())
    } else if let Some(home) = home {
        ("has no effect here", format!("move it to {home}"))
    } else {
        ("unknown key, ignored", "remove it, or see docs/configuration.md".to_owned())
    };
    reader.report.warn(entry.place, path, message, &advice);
}
