//! `rpm` and `tpm`, which litellm_params, the item and model_info may have.

use crate::values::{Reader, Section};
use crate::yaml::Value;

/// The limits of one section, or of several.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    /// Requests per clock minute.
    pub(super) rpm: Option<u64>,
    /// Tokens per clock minute.
    pub(super) tpm: Option<u64>,
}

impl Limits {
    /// The limits of a section.
    pub(super) fn read(reader: &mut Reader<'_>, section: &Section<'_>) -> Self {
        Self { rpm: reader.uint(section, "rpm"), tpm: reader.uint(section, "tpm") }
    }

    /// Each of these, or the other's if unset.
    pub(super) fn or(self, other: Self) -> Self {
        Self { rpm: self.rpm.or(other.rpm), tpm: self.tpm.or(other.tpm) }
    }

    /// Zero is no limit, and still overrides model_info. As weights of simple-shuffle, zero and
    /// unset are equal.
    pub(super) fn above_zero(self) -> Self {
        Self { rpm: self.rpm.filter(|limit| *limit > 0), tpm: self.tpm.filter(|limit| *limit > 0) }
    }

    /// Whether both are unset.
    pub(super) fn is_none(self) -> bool {
        self.rpm.is_none() && self.tpm.is_none()
    }
}

/// Warns of limits of zero, which are no limits in LiteLLM.
pub(super) fn warn_of_zeros(reader: &mut Reader<'_>, sections: [&Section<'_>; 3]) {
    const MESSAGE: &str = "0 is no limit, as in LiteLLM";
    const ADVICE: &str = "remove the key, or the whole deployment if it should get no requests";
    const KEYS: [(&str, &str); 3] = [
        ("rpm", ADVICE),
        ("tpm", ADVICE),
        ("max_parallel_requests", "remove it, or write a positive number"),
    ];
    for section in sections {
        for (key, advice) in KEYS {
            let zero = section.find(key).filter(|entry| entry.node.value == Value::Int(0));
            if let Some(entry) = zero {
                reader.report.warn(entry.place, &section.path.key(key), MESSAGE, advice);
            }
        }
    }
}
