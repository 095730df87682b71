//! `enable_pre_call_checks`: prompts that do not fit into the context of some deployment. Such a
//! deployment is left out. Where none is left, the request goes to `context_window_fallbacks`,
//! without an attempt.

use std::sync::Arc;

use super::Router;
use crate::models::pool::Pool;
use crate::request::refusal::Refusal;
use crate::request::token_estimate::TokenEstimate;

/// Tokens that a prompt takes at least. Text may take a third less than its estimate: escaped
/// letters, runs of blanks. Only the provider knows whether such a prompt fits.
fn at_least(estimate: u64) -> u64 {
    estimate.saturating_sub(estimate / 3)
}

/// The deployments that are large enough; `None` if all of them are.
///
/// # Errors
/// [`Refusal::TooLong`] if none is.
pub(super) fn large_enough(
    router: &Router,
    pool: &Pool,
    model: &str,
    estimate: TokenEstimate,
) -> Result<Option<Arc<Pool>>, Refusal> {
    if pool.smallest_context.is_none_or(|smallest| estimate.prompt <= smallest) {
        return Ok(None);
    }
    let context = |place: &usize| router.deployment(*pool.members.get(*place)?)?.max_input_tokens;
    let all = 0..pool.members.len();
    let fitting = |tokens: u64| -> Vec<usize> {
        all.clone().filter(|place| context(place).is_none_or(|context| tokens <= context)).collect()
    };
    let mut places = fitting(estimate.prompt);
    if places.is_empty() {
        places = fitting(at_least(estimate.prompt));
    }
    match pool.view(&router.config, &places) {
        Some(view) => Ok(Some(Arc::new(view))),
        None => Err(Refusal::TooLong {
            model: model.to_owned(),
            prompt: estimate.prompt,
            context: all.filter_map(|place| context(&place)).max().unwrap_or_default(),
        }),
    }
}
