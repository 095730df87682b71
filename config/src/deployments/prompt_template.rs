//! `hf_model_name`: the model whose prompt template LiteLLM applies. It does so for SageMaker, which
//! is not supported, and for Bedrock. Elsewhere the key has no effect, of which its table warns.

use crate::providers::Resolved;
use crate::values::{Reader, Section};

const KEY: &str = "hf_model_name";

/// Reports the key where LiteLLM would apply a template.
pub(super) fn check(reader: &mut Reader<'_>, params: &Section<'_>, resolved: &Resolved) {
    let Some(entry) = params.find(KEY).filter(|entry| !entry.node.is_falsy()) else { return };
    if resolved.provider == "bedrock" {
        let (message, advice) = ("prompt templates are not supported", "let the provider apply its template");
        reader.report.unsupported(entry.place, &params.path.key(KEY), message, advice);
    }
}
