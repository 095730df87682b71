//! Retries and time limits that a request sets for itself, by headers or in its body.

use std::time::Duration;

use crate::request::numbers::{count, seconds};
use crate::request::refusal::Refusal;

/// What a request sets in place of the configuration's values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestOverrides {
    /// `num_retries`, `x-litellm-num-retries`
    pub num_retries: Option<u32>,
    /// `timeout`, `request_timeout`, `x-litellm-timeout`; in seconds
    pub timeout: Option<Duration>,
    /// `stream_timeout`, `x-litellm-stream-timeout`; in seconds
    pub stream_timeout: Option<Duration>,
}

impl RequestOverrides {
    /// Reads a header, if it sets one of them.
    ///
    /// # Errors
    /// A [`Refusal`] for a value that is no such number.
    pub(super) fn read_header(&mut self, name: &str, value: &str) -> Result<(), Refusal> {
        match name {
            "x-litellm-num-retries" => self.num_retries = Some(count(name, value)?),
            "x-litellm-timeout" => self.timeout = seconds(name, value)?,
            "x-litellm-stream-timeout" => self.stream_timeout = seconds(name, value)?,
            _ => {}
        }
        Ok(())
    }

    /// The same with what the body sets, where no header sets it: a proxy in front limits clients by
    /// headers. `value` returns a member of the body by its name.
    ///
    /// # Errors
    /// A [`Refusal`] for a value that is no such number.
    pub(super) fn with_body<'a>(self, value: impl Fn(&str) -> Option<&'a str>) -> Result<Self, Refusal> {
        let mut body = Self::default();
        if let Some(text) = value("num_retries") {
            body.num_retries = Some(count("num_retries", text)?);
        }
        for name in ["request_timeout", "timeout"] {
            if let Some(text) = value(name) {
                body.timeout = seconds(name, text)?;
            }
        }
        if let Some(text) = value("stream_timeout") {
            body.stream_timeout = seconds("stream_timeout", text)?;
        }
        Ok(Self {
            num_retries: self.num_retries.or(body.num_retries),
            timeout: self.timeout.or(body.timeout),
            stream_timeout: self.stream_timeout.or(body.stream_timeout),
        })
    }
}
