//! Which deployments of a group a request's tags admit (BEHAVIOUR 3.9). In LiteLLM's syntax `!tag`
//! excludes deployments with that tag, `&tag` requires it, and a plain tag prefers, among the rest,
//! those that have it.

use llm_balancer_config::Config;

use crate::models::pool::Pool;
use crate::request::tags_param::is_malformed;
use crate::select::request::NoDeployment;

/// A position in [`Pool::members`].
pub(crate) type Place = usize;

/// The tag of deployments that serve requests which no other deployment matches.
const DEFAULT: &str = "default";

/// Whether the pool's deployments are filtered by the request's tags. A deployment that is named by
/// its id is not.
pub(super) fn filters_tags(pool: &Pool) -> bool {
    pool.tag_filtering && !pool.by_id
}

/// The places of the members that a request's tags admit, in their order; `None` for all of them.
pub(crate) fn tagged(
    config: &Config,
    pool: &Pool,
    tags: &[String],
) -> Result<Option<Vec<Place>>, NoDeployment> {
    if !filters_tags(pool) {
        return Ok(None);
    }
    let members = pool.members.iter().enumerate();
    let with_tags =
        members.filter_map(|(place, index)| Some((place, config.deployments.get(*index)?.tags.as_slice())));
    let router = &config.router;
    let rules = Rules { match_any: router.tags_match_any, prefix: &router.tag_prefix };
    admitted(with_tags, tags, rules).map(Some).map_err(|_| NoDeployment::Tags)
}

/// Whether a place is among those that [`tagged`] returns.
pub(crate) fn contains(tagged: Option<&[Place]>, place: Place) -> bool {
    tagged.is_none_or(|places| places.binary_search(&place).is_ok())
}

/// The tags admit no deployment of the group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct NotAllowed;

/// How tags are matched.
#[derive(Clone, Copy, Debug)]
struct Rules<'a> {
    /// `tag_filtering_match_any`: one preferred tag is enough; else a deployment needs all of them.
    match_any: bool,
    /// `tag_routing_prefix`, which is removed from a request's tags.
    prefix: &'a str,
}

/// The tags of a request, by their marks.
#[derive(Default)]
struct TagQuery<'a> {
    excluded: Vec<&'a str>,
    required: Vec<&'a str>,
    preferred: Vec<&'a str>,
    /// Whether a mark has no tag behind it: what it excludes is unknown.
    malformed: bool,
}

impl<'a> TagQuery<'a> {
    fn of(tags: &'a [String], prefix: &str) -> Self {
        let mut query = Self::default();
        for tag in tags {
            let tag = tag.strip_prefix(prefix).unwrap_or(tag);
            query.malformed |= is_malformed(tag);
            match (tag.strip_prefix('!'), tag.strip_prefix('&')) {
                (Some(tag), _) => query.excluded.push(tag),
                (_, Some(tag)) => query.required.push(tag),
                _ => query.preferred.push(tag),
            }
        }
        query
    }

    fn has_constraints(&self) -> bool {
        !(self.excluded.is_empty() && self.required.is_empty())
    }

    /// Whether neither `!` nor `&` excludes a deployment with these tags.
    fn admits(&self, tags: &[String]) -> bool {
        !self.excluded.iter().any(|tag| has(tags, tag)) && self.required.iter().all(|tag| has(tags, tag))
    }

    fn prefers(&self, tags: &[String], match_any: bool) -> bool {
        let mut preferred = self.preferred.iter();
        if match_any { preferred.any(|tag| has(tags, tag)) } else { preferred.all(|tag| has(tags, tag)) }
    }
}

fn has(tags: &[String], tag: &str) -> bool {
    tags.iter().any(|own| own == tag)
}

/// The deployments that a request with these tags may use, in their order. A deployment that `!`
/// excludes, or that lacks what `&` requires, is never among them, not even as the default.
///
/// # Errors
/// [`NotAllowed`] if no deployment is left.
fn admitted<'a>(
    members: impl Iterator<Item = (usize, &'a [String])>,
    tags: &[String],
    rules: Rules<'_>,
) -> Result<Vec<usize>, NotAllowed> {
    let query = TagQuery::of(tags, rules.prefix);
    let members: Vec<(usize, &[String])> = members.collect();
    let among = |keep: &dyn Fn(&[String]) -> bool| -> Vec<usize> {
        members.iter().filter(|(_, tags)| keep(tags)).map(|(index, _)| *index).collect()
    };
    let found = if query.malformed {
        Vec::new()
    } else if query.preferred.is_empty() {
        // Without a preference the default deployments go first, unless tags are required of them.
        let has_default = query.required.is_empty() && members.iter().any(|(_, tags)| has(tags, DEFAULT));
        among(&|tags| query.admits(tags) && (!has_default || has(tags, DEFAULT)))
    } else {
        let preferred = among(&|tags| query.admits(tags) && query.prefers(tags, rules.match_any));
        let is_known = || members.iter().any(|(_, tags)| query.prefers(tags, true));
        if !preferred.is_empty() {
            preferred
        } else if query.has_constraints() && is_known() {
            // A preferred tag exists, on deployments that are excluded.
            Vec::new()
        } else {
            among(&|tags| query.admits(tags) && has(tags, DEFAULT))
        }
    };
    // An untagged request to a group without members is refused elsewhere.
    if found.is_empty() && !tags.is_empty() { Err(NotAllowed) } else { Ok(found) }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Row = (&'static [&'static str], Result<Vec<usize>, NotAllowed>);

    fn admitted_of(members: &[&[&str]], asked: &[&str], match_any: bool) -> Result<Vec<usize>, NotAllowed> {
        let owned = |tags: &&[&str]| tags.iter().map(|&tag| tag.to_owned()).collect::<Vec<_>>();
        let members: Vec<Vec<String>> = members.iter().map(owned).collect();
        let members = members.iter().enumerate().map(|(index, tags)| (index, tags.as_slice()));
        admitted(members, &owned(&asked), Rules { match_any, prefix: "route:" })
    }

    #[test]
    fn what_is_excluded_serves_nothing_not_even_as_the_default() {
        let members: [&[&str]; 4] = [&["preview", "default"], &["paid"], &["paid", "preview"], &[]];
        let rows: &[Row] = &[
            (&["!preview"], Err(NotAllowed)),
            (&["paid", "!preview"], Ok(vec![1])),
            (&["paid", "!paid"], Err(NotAllowed)),
            (&["x", "!preview"], Err(NotAllowed)),
            (&["x", "!paid"], Ok(vec![0])),
            (&["!other"], Ok(vec![0])),
            (&["route:!preview", "route:paid"], Ok(vec![1])),
            (&["paid", "!preview", "!paid"], Err(NotAllowed)),
        ];
        for (asked, expected) in rows {
            assert_eq!(admitted_of(&members, asked, true), *expected, "{asked:?}");
        }
        assert_eq!(admitted_of(&[&["eu"], &["us"], &[]], &["!us"], true), Ok(vec![0, 2]));
    }

    #[test]
    fn a_required_tag_has_to_be_there_whatever_else_matches() {
        let members: [&[&str]; 4] = [&["eu", "high"], &["eu"], &["high", "default"], &["default"]];
        let rows: &[Row] = &[
            (&["&eu"], Ok(vec![0, 1])),
            (&["&eu", "&high"], Ok(vec![0])),
            (&["&eu", "!high"], Ok(vec![1])),
            (&["&eu", "high"], Ok(vec![0])),
            (&["&us"], Err(NotAllowed)),
            (&["&eu", "other"], Err(NotAllowed)),
            (&["&high", "other"], Ok(vec![2])),
        ];
        for (asked, expected) in rows {
            assert_eq!(admitted_of(&members, asked, true), *expected, "{asked:?}");
        }
        assert_eq!(admitted_of(&members, &["&eu", "high", "low"], false), Err(NotAllowed));
    }

    #[test]
    fn a_mark_without_a_tag_admits_nothing() {
        for tag in ["!", "&", "!!a", "&!a", "! a", "route:!", "route:&"] {
            assert_eq!(admitted_of(&[&["a"], &["default"], &[]], &[tag], true), Err(NotAllowed), "{tag}");
        }
    }

    #[test]
    fn without_tags_a_request_goes_to_the_default_deployments_or_else_to_all() {
        assert_eq!(admitted_of(&[&["a"], &[], &["b"]], &[], true), Ok(vec![0, 1, 2]));
        assert_eq!(admitted_of(&[&["a"], &["default"], &[]], &[], true), Ok(vec![1]));
    }

    #[test]
    fn one_tag_in_common_is_enough_unless_all_are_required() {
        let members: [&[&str]; 3] = [&["a"], &["b", "a"], &["c"]];
        assert_eq!(admitted_of(&members, &["a", "b"], true), Ok(vec![0, 1]));
        assert_eq!(admitted_of(&members, &["a", "b"], false), Ok(vec![1]));
        assert_eq!(admitted_of(&members, &["a", "c"], false), Err(NotAllowed));
    }

    #[test]
    fn tags_that_no_deployment_has_lead_to_the_default_deployments_or_nowhere() {
        assert_eq!(admitted_of(&[&["a"], &["default"]], &["x"], true), Ok(vec![1]));
        assert_eq!(admitted_of(&[&["a"], &["default"]], &["a"], true), Ok(vec![0]));
        assert_eq!(admitted_of(&[&["a"], &[]], &["x"], true), Err(NotAllowed));
    }
}
