//! `rpm` and `tpm`, which may stand in three places, and what becomes of zeros.

use crate::values::reader::{Reader, Section};
use crate::yaml::tree::Value;

/// Both limits of one place, or of several.
#[derive(Clone, Copy)]
pub struct Limits {
    /// Requests of a clock minute.
    pub rpm: Option<u64>,
    /// Tokens of a clock minute.
    pub tpm: Option<u64>,
}

impl Limits {
    /// Those that stand in a section.
    pub fn read(reader: &mut Reader<'_>, section: &Section<'_>) -> Self {
        Self { rpm: reader.uint(section, "rpm"), tpm: reader.uint(section, "tpm") }
    }

    /// Each of these, or the other's where there is none.
    pub fn or(self, other: Self) -> Self {
        Self { rpm: self.rpm.or(other.rpm), tpm: self.tpm.or(other.tpm) }
    }

    /// A limit of zero is none, and keeps one of model_info from counting all the same. As a weight of simple-shuffle,
    /// none weighs as little as zero.
    pub fn above_zero(self) -> Self {
        Self { rpm: self.rpm.filter(|limit| *limit > 0), tpm: self.tpm.filter(|limit| *limit > 0) }
    }

    /// Whether there is neither.
    pub fn is_none(self) -> bool {
        self.rpm.is_none() && self.tpm.is_none()
    }
}

/// Zero is no limit in LiteLLM, and not the end of all requests that some may take it for.
pub fn warn_of_zeros(reader: &mut Reader<'_>, sections: [&Section<'_>; 3]) {
    const KEYS: [(&str, &str, &str); 3] = [
        ("rpm", "is 0, which is no limit, as in LiteLLM", "remove it; weight: 0 keeps requests away"),
        ("tpm", "is 0, which is no limit, as in LiteLLM", "remove it; weight: 0 keeps requests away"),
        ("max_parallel_requests", "is 0, which counts as not set", "remove it, or write a number from 1 on"),
    ];
    for section in sections {
        for (key, message, advice) in KEYS {
            let zero = section.find(key).filter(|entry| entry.node.value == Value::Int(0));
            if let Some(entry) = zero {
                reader.report.warn(entry.place, &section.path.key(key), message, advice);
            }
        }
    }
}
