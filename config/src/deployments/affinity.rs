//! `llm_balancer: {affinity: prefix}` of a deployment.

use crate::config::Affinity;
use crate::values::{Reader, Section};

/// Reads it, of litellm_params and model_info.
pub(super) fn read(reader: &mut Reader<'_>, sections: [&Section<'_>; 2]) -> Affinity {
    let mut affinity = Affinity::default();
    for parent in sections {
        // `wire` is read before, with the errors of the section.
        let Some(entry) = parent.find("llm_balancer") else { continue };
        let Some(entries) = entry.node.entries() else { continue };
        let section = Section { entries, path: parent.path.key("llm_balancer"), place: entry.place };
        let Some(entry) = section.find("affinity") else { continue };
        match reader.string(&section, "affinity") {
            Some(text) if text == "prefix" => affinity.prefixes = true,
            Some(text) => {
                let message = format!("expected prefix, found \"{text}\"");
                reader.report.error(entry.place, &section.path.key("affinity"), &message, "");
            }
            None => {}
        }
    }
    affinity
}
