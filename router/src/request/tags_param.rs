//! The tags of a request, from its headers, its body and its metadata.

use crate::http::json::{self, Object};
use crate::request::refusal::Refusal;

/// Tags of a request at most: each is compared with those of every deployment of the group.
const MOST: usize = 100;

/// Reads the tags of the headers, then those of the body, of `metadata` and of `litellm_metadata`.
///
/// # Errors
/// A [`Refusal`] for tags that are not a list of strings, for too many, and for metadata that is no
/// object and no text with one: it may have tags that exclude deployments.
pub fn read(
    of_headers: &[String],
    of_body: Option<&str>,
    metadata: [Option<&str>; 2],
) -> Result<Vec<String>, Refusal> {
    let mut tags = of_headers.to_vec();
    if let Some(value) = of_body {
        join(&mut tags, "tags", value)?;
    }
    for (name, value) in ["metadata", "litellm_metadata"].into_iter().zip(metadata) {
        let Some(value) = value else { continue };
        // Forms, and SDKs by extra_body, send it as text.
        let text = json::string_or_raw(value);
        let must_be = "an object of at most 1000 members";
        let object = Object::parse(text.as_bytes());
        let object = object.map_err(|_| Refusal::Parameter(name.to_owned(), must_be))?;
        if let Some(value) = object.present("tags") {
            join(&mut tags, "metadata.tags", value)?;
        }
    }
    Ok(tags)
}

/// Adds the tags of `x-litellm-tags: a, b`.
///
/// # Errors
/// A [`Refusal`] for a tag without a name, and for too many.
pub fn header_tags(tags: &mut Vec<String>, value: &str) -> Result<(), Refusal> {
    value.split(',').map(str::trim).try_for_each(|tag| add(tags, "x-litellm-tags", tag))
}

fn join(tags: &mut Vec<String>, name: &str, value: &str) -> Result<(), Refusal> {
    for item in json::list(value, MOST).ok_or_else(|| not_tags(name))? {
        add(tags, name, &json::string(item).ok_or_else(|| not_tags(name))?)?;
    }
    Ok(())
}

fn add(tags: &mut Vec<String>, name: &str, tag: &str) -> Result<(), Refusal> {
    let tag = tag.trim();
    if is_malformed(tag) {
        let must_be = "a list of tags, where ! excludes and & requires the tag that follows it directly";
        return Err(Refusal::Parameter(name.to_owned(), must_be));
    }
    if tag.is_empty() || tags.iter().any(|known| known == tag) {
        return Ok(());
    }
    if tags.len() == MOST {
        return Err(not_tags(name));
    }
    tags.push(tag.to_owned());
    Ok(())
}

/// Whether `!` or `&` is followed by nothing, a blank or another mark, and not by a tag.
pub fn is_malformed(tag: &str) -> bool {
    let bare = tag.strip_prefix(['!', '&']);
    bare.is_some_and(|bare| bare.is_empty() || bare.starts_with(['!', '&', ' ']))
}

fn not_tags(name: &str) -> Refusal {
    Refusal::Parameter(name.to_owned(), "a list of strings, with at most 100 tags in all")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_lists_its_tags_between_commas() {
        let mut tags = vec!["a".to_owned()];
        header_tags(&mut tags, " a, ,b,").unwrap();
        assert_eq!(tags, ["a", "b"]);
    }

    #[test]
    fn a_mark_without_a_tag_is_refused_and_blanks_around_a_tag_are_no_part_of_it() {
        for tag in ["!", "&", "! a", "!!a", "&!a"] {
            assert!(header_tags(&mut Vec::new(), tag).is_err(), "{tag}");
        }
        assert_eq!(read(&[], Some(r#"[" !a ", "&b"]"#), [None; 2]).unwrap(), ["!a", "&b"]);
    }

    #[test]
    fn metadata_may_be_text_and_what_is_no_object_is_refused() {
        let read = |metadata: &str| read(&[], None, [Some(metadata), None]);
        assert_eq!(read(r#""{\"tags\":[\"!eu\"]}""#).unwrap(), ["!eu"]);
        let members: String = (0..1000).map(|n| format!(r#""m{n}":{n},"#)).collect();
        for metadata in ["7", "[]", r#""text""#, r#"{"tags":["#, &format!(r#"{{{members}"tags":["a"]}}"#)] {
            let refused = Refusal::Parameter("metadata".to_owned(), "an object of at most 1000 members");
            assert_eq!(read(metadata), Err(refused), "{metadata}");
        }
    }

    #[test]
    fn tags_that_are_no_list_of_strings_are_refused() {
        let many: Vec<String> = (0..100).map(|tag| format!("\"{tag}\"")).collect();
        for value in ["\"a\"", "[1]", "{}", "true", &format!("[{}]", many.join(","))] {
            let refused = |name: &str| Err(not_tags(name));
            assert_eq!(read(&["a".to_owned()], Some(value), [None; 2]), refused("tags"), "{value}");
            let metadata = format!(r#"{{"tags":{value}}}"#);
            let read = read(&["a".to_owned()], None, [None, Some(&metadata)]);
            assert_eq!(read, refused("metadata.tags"), "{value}");
        }
    }
}
