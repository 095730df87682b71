//! The sections that hold settings, with the keys that people put into the wrong one.

use std::time::Duration;

use crate::diagnostics::report::{ADVISES, Path};
use crate::values::reader::{Reader, Section};
use crate::yaml::tree::{Entry, Place};

/// The settings sections of a document, those that are there.
#[derive(Clone, Copy, Default)]
pub struct Settings<'a> {
    /// `router_settings`
    pub router: Option<Section<'a>>,
    /// `litellm_settings`
    pub litellm: Option<Section<'a>>,
    /// `general_settings`
    pub general: Option<Section<'a>>,
}

impl<'a> Settings<'a> {
    /// A key that router_settings may hold, or litellm_settings if it does not.
    pub fn routing(&self, key: &str) -> Option<(Section<'a>, &'a Entry)> {
        [self.router, self.litellm]
            .into_iter()
            .flatten()
            .find_map(|section| Some((section, section.find(key)?)))
    }

    /// The section that holds a routing key.
    pub fn routing_section(&self, key: &str) -> Option<Section<'a>> {
        self.routing(key).map(|(section, _)| section)
    }
}

impl Reader<'_> {
    /// Takes a key from a section where LiteLLM does not look for it, and says so.
    pub fn misplaced(&mut self, section: &Section<'_>, key: &str, home: &str) {
        if let Some(entry) = section.find(key) {
            let advice = format!("move it to {home}");
            let message = format!("is taken for {home}.{key}, where it belongs");
            self.report.warn(entry.place, &section.path.key(key), &message, &advice);
        }
    }

    /// Seconds of an environment variable of LiteLLM's.
    pub fn seconds_from(&mut self, variable: &str) -> Option<Duration> {
        self.number_from(variable, |text| Duration::try_from_secs_f64(text.parse().ok()?).ok())
    }

    /// A count of an environment variable of LiteLLM's.
    pub fn count_from(&mut self, variable: &str) -> Option<u32> {
        self.number_from(variable, |text| text.parse().ok())
    }

    /// A share from 0 on of an environment variable of LiteLLM's.
    pub fn share_from(&mut self, variable: &str) -> Option<f64> {
        let is_share = |share: &f64| share.is_finite() && *share >= 0.0;
        self.number_from(variable, |text| text.parse().ok().filter(is_share))
    }

    /// What cannot be read leaves the default, with a warning.
    fn number_from<T>(&mut self, variable: &str, read: impl Fn(&str) -> Option<T>) -> Option<T> {
        let text = self.env.first_of(&[variable])?;
        let number = read(&text);
        if ADVISES && number.is_none() {
            let place = Place { file: 0, line: 1 };
            let (message, advice) =
                ("is no number that it can be, and has no effect", "correct it, or unset it");
            self.report.warn(place, &Path::top(variable), message, advice);
        }
        number
    }

    /// Refuses something at a key.
    #[inline(always)]
    pub fn refuse_at(&mut self, entry: &Entry, path: &Path<'_>, message: &str, advice: &str) {
        self.report.refuse(entry.place, path, message, advice);
    }
}
