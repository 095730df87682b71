//! The sections with settings, and environment variables that replace them.

use std::time::Duration;

use super::{Reader, Section};
use crate::diagnostics::{ADVISES, Path, Place};
use crate::yaml::Entry;

/// The settings sections of a document, if present.
#[derive(Clone, Copy, Default)]
pub(crate) struct Settings<'a> {
    /// `router_settings`
    pub(crate) router: Option<Section<'a>>,
    /// `litellm_settings`
    pub(crate) litellm: Option<Section<'a>>,
    /// `general_settings`
    pub(crate) general: Option<Section<'a>>,
}

impl<'a> Settings<'a> {
    /// A list or a map of router_settings, or else of litellm_settings. An empty one counts as unset,
    /// as in LiteLLM.
    pub(crate) fn routing(&self, key: &str) -> Option<(Section<'a>, &'a Entry)> {
        self.first(key, |entry| !entry.node.is_falsy())
    }

    /// The section with a number of router_settings. Zero is a number.
    pub(crate) fn routing_section(&self, key: &str) -> Option<Section<'a>> {
        self.first(key, |_| true).map(|(section, _)| section)
    }

    fn first(&self, key: &str, is_set: fn(&Entry) -> bool) -> Option<(Section<'a>, &'a Entry)> {
        [self.router, self.litellm]
            .into_iter()
            .flatten()
            .find_map(|section| Some((section, section.find(key).filter(|entry| is_set(entry))?)))
    }
}

impl Reader<'_> {
    /// Warns of a key in a section where LiteLLM does not look for it: it is used as that of its
    /// home, or not at all because another value is used.
    pub(crate) fn warn_of_misplaced(
        &mut self,
        section: &Section<'_>,
        key: &str,
        home: &str,
        used: Option<Path<'_>>,
    ) {
        if ADVISES && let Some(entry) = section.find(key) {
            let (message, advice) = match used {
                Some(used) => (format!("ignored: {used} is used"), "remove it".to_owned()),
                None => (format!("misplaced key, used as {home}.{key}"), format!("move it to {home}")),
            };
            self.report.warn(entry.place, &section.path.key(key), &message, &advice);
        }
    }

    /// Seconds in an environment variable of LiteLLM's.
    pub(crate) fn seconds_from(&mut self, variable: &str) -> Option<Duration> {
        self.number_from(variable, |text| Duration::try_from_secs_f64(text.parse().ok()?).ok())
    }

    /// A count in an environment variable of LiteLLM's.
    pub(crate) fn count_from(&mut self, variable: &str) -> Option<u32> {
        self.number_from(variable, |text| text.parse().ok())
    }

    /// A share, from 0, in an environment variable of LiteLLM's.
    pub(crate) fn share_from(&mut self, variable: &str) -> Option<f64> {
        let is_share = |share: &f64| share.is_finite() && *share >= 0.0;
        self.number_from(variable, |text| text.parse().ok().filter(is_share))
    }

    /// `None` with a warning if the variable holds no such number.
    fn number_from<T>(&mut self, variable: &str, read: impl Fn(&str) -> Option<T>) -> Option<T> {
        let text = self.env.first_of(&[variable])?;
        let number = read(&text);
        if ADVISES && number.is_none() {
            let place = Place { file: 0, line: 1 };
            let advice = "correct it, or unset the variable";
            self.report.warn(place, &Path::top(variable), "invalid number, ignored", advice);
        }
        number
    }
}
