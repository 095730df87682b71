//! Which deployments of a group admit a request by its tags (BEHAVIOUR 3.9).

/// What a deployment is tagged with that takes whatever no other one takes.
const DEFAULT: &str = "default";

/// No deployment of the group admits the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAllowed;

/// The deployments that a request with these tags may go to, in their order. One tag in common is enough where
/// `match_any` is set; else a deployment needs every tag of the request.
///
/// # Errors
/// [`NotAllowed`] where the request has tags, no deployment matches, and none is tagged `default`.
pub fn admitted<'a>(
    members: impl Iterator<Item = (usize, &'a [String])>,
    asked: &[String],
    match_any: bool,
) -> Result<Vec<usize>, NotAllowed> {
    let (mut all, mut matching, mut default) = (Vec::new(), Vec::new(), Vec::new());
    for (index, tags) in members {
        let has = |tag: &String| tags.contains(tag);
        if asked.is_empty() {
            all.push(index);
        } else if if match_any { asked.iter().any(has) } else { asked.iter().all(has) } {
            matching.push(index);
        }
        if tags.iter().any(|tag| tag == DEFAULT) {
            default.push(index);
        }
    }
    match (asked.is_empty(), matching.is_empty(), default.is_empty()) {
        (true, _, true) => Ok(all),
        (false, false, _) => Ok(matching),
        (_, _, false) => Ok(default),
        (false, true, true) => Err(NotAllowed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admitted_of(members: &[&[&str]], asked: &[&str], match_any: bool) -> Result<Vec<usize>, NotAllowed> {
        let owned = |tags: &&[&str]| tags.iter().map(|&tag| tag.to_owned()).collect::<Vec<_>>();
        let members: Vec<Vec<String>> = members.iter().map(owned).collect();
        let members = members.iter().enumerate().map(|(index, tags)| (index, tags.as_slice()));
        admitted(members, &owned(&asked), match_any)
    }

    #[test]
    fn without_tags_a_request_goes_to_the_default_deployments_or_else_to_all() {
        assert_eq!(admitted_of(&[&["a"], &[], &["b"]], &[], true), Ok(vec![0, 1, 2]));
        assert_eq!(admitted_of(&[&["a"], &["default"], &[]], &[], true), Ok(vec![1]));
    }

    #[test]
    fn one_tag_in_common_is_enough_unless_all_are_demanded() {
        let members: [&[&str]; 3] = [&["a"], &["b", "a"], &["c"]];
        assert_eq!(admitted_of(&members, &["a", "b"], true), Ok(vec![0, 1]));
        assert_eq!(admitted_of(&members, &["a", "b"], false), Ok(vec![1]));
        assert_eq!(admitted_of(&members, &["a", "c"], false), Err(NotAllowed));
    }

    #[test]
    fn tags_that_nobody_has_lead_to_the_default_deployments_or_nowhere() {
        assert_eq!(admitted_of(&[&["a"], &["default"]], &["x"], true), Ok(vec![1]));
        assert_eq!(admitted_of(&[&["a"], &["default"]], &["a"], true), Ok(vec![0]));
        assert_eq!(admitted_of(&[&["a"], &[]], &["x"], true), Err(NotAllowed));
    }
}
