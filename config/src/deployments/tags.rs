//! The tags of a deployment: plain words. `!tag` and `&tag` are for requests, which exclude and require by them.

use crate::values::reader::{Reader, Section};
use crate::values::visible::TextKind;

/// Reads `tags`.
pub fn read(reader: &mut Reader<'_>, params: &Section<'_>) -> Vec<String> {
    let Some(entry) = params.find("tags") else { return Vec::new() };
    let list = params.path.key("tags");
    let mut tags: Vec<String> = Vec::new();
    for (index, written) in reader.strings(params, "tags").unwrap_or_default().into_iter().enumerate() {
        let path = list.index(index);
        let tag = written.trim();
        if let Some(bare) = tag.strip_prefix(['!', '&']) {
            let message = format!("{tag} is what a request excludes or requires, and no tag of a deployment");
            reader.report.refuse(entry.place, &path, &message, &format!("write {}", bare.trim()));
            continue;
        }
        if tag.is_empty() {
            reader.report.refuse(entry.place, &path, "is empty", "write a word, or remove it");
        } else if tag.contains(',') {
            let message = format!("{tag} is one tag, which no x-litellm-tags header can name");
            reader.report.refuse(entry.place, &path, &message, "make a list of several tags");
        } else if reader.check_text(entry.place, &path, tag, TextKind::Name) {
            tags.push(tag.to_owned());
        }
    }
    tags
}
