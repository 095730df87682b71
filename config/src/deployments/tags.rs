//! The tags of a deployment: plain words. `!tag` and `&tag` are for requests, which exclude and
//! require tags.

use crate::values::{Reader, Section, TextKind};

/// Reads `tags`.
pub(super) fn read(reader: &mut Reader<'_>, params: &Section<'_>) -> Vec<String> {
    let Some(entry) = params.find("tags") else { return Vec::new() };
    let list = params.path.key("tags");
    let mut tags: Vec<String> = Vec::new();
    for (index, written) in reader.strings(params, "tags").unwrap_or_default().into_iter().enumerate() {
        let path = list.index(index);
        let tag = written.trim();
        if let Some(bare) = tag.strip_prefix(['!', '&']) {
            let message = format!("invalid tag \"{tag}\": ! and & are for the tags of requests");
            reader.report.error(entry.place, &path, &message, &format!("write {}", bare.trim()));
            continue;
        }
        if tag.is_empty() {
            reader.report.error(entry.place, &path, "empty value", "write a word, or remove it");
        } else if tag.contains(',') {
            let message = format!("invalid tag \"{tag}\": the header x-litellm-tags splits at commas");
            reader.report.error(entry.place, &path, &message, "write a list of tags");
        } else if reader.check_text(entry.place, &path, tag, TextKind::Name) {
            tags.push(tag.to_owned());
        }
    }
    tags
}
