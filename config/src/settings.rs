//! The sections that hold settings, with the keys that people put into the wrong one.

use std::time::Duration;

use crate::reader::{Reader, Section};
use crate::report::Path;
use crate::tree::Entry;

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

    /// Whole seconds of an environment variable of LiteLLM's.
    pub fn seconds_from(&mut self, variable: &str) -> Option<Duration> {
        let text = self.env.first_of(&[variable])?;
        text.trim().parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
    }

    /// A count of an environment variable of LiteLLM's.
    pub fn count_from(&mut self, variable: &str) -> Option<u32> {
        self.env.first_of(&[variable])?.trim().parse().ok()
    }

    /// A share from 0 on of an environment variable of LiteLLM's.
    pub fn share_from(&mut self, variable: &str) -> Option<f64> {
        let share: f64 = self.env.first_of(&[variable])?.trim().parse().ok()?;
        (share.is_finite() && share >= 0.0).then_some(share)
    }

    /// Refuses something at a key.
    #[inline(always)]
    pub fn refuse_at(&mut self, entry: &Entry, path: &Path<'_>, message: &str, advice: &str) {
        self.report.refuse(entry.place, path, message, advice);
    }
}
