//! The pages of a list of models, by Anthropic's parameters.

use crate::http::route::query_value;
use crate::models::listing::Listed;
use crate::request::refusal::Refusal;

/// Anthropic's limit of `limit`.
const LARGEST_PAGE: usize = 1000;

/// The page behind `after_id` or before `before_id`, of at most `limit` models, and whether more
/// follow in that direction. Without `limit` it has all: few clients ask for a second page.
///
/// # Errors
/// A [`Refusal`] for an id that is not listed, and for a limit that is not from 1 to 1000.
pub(super) fn page<'l, 'c>(all: &'l [Listed<'c>], query: &str) -> Result<(&'l [Listed<'c>], bool), Refusal> {
    let limit = match query_value(query, "limit") {
        Some(limit) => {
            let limit = limit.parse().ok().filter(|limit| (1..=LARGEST_PAGE).contains(limit));
            limit.ok_or_else(|| Refusal::Parameter("limit".to_owned(), "a number from 1 to 1000"))?
        }
        None => all.len(),
    };
    let (page, has_more) = if let Some(end) = place(all, query, "before_id")? {
        let start = end.saturating_sub(limit);
        (all.get(start..end), start > 0)
    } else {
        let start = place(all, query, "after_id")?.map_or(0, |place| place.saturating_add(1));
        let end = start.saturating_add(limit).min(all.len());
        (all.get(start..end), end < all.len())
    };
    Ok((page.unwrap_or_default(), has_more))
}

/// Where the model of this parameter is in the list.
fn place(all: &[Listed<'_>], query: &str, key: &str) -> Result<Option<usize>, Refusal> {
    let Some(id) = query_value(query, key) else { return Ok(None) };
    let place = all.iter().position(|listed| listed.name == id);
    place.map(Some).ok_or_else(|| Refusal::Parameter(key.to_owned(), "the id of a listed model"))
}
