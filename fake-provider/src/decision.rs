//! Answers that a test decides on while requests arrive.

use std::fmt;

use crate::answer::Answer;
use crate::received::Received;

/// Returns the answer to a request.
pub(crate) struct Decision(Box<dyn Fn(&Received) -> Answer + Send + Sync>);

impl Decision {
    pub(crate) fn new(decide: impl Fn(&Received) -> Answer + Send + Sync + 'static) -> Self {
        Self(Box::new(decide))
    }

    pub(crate) fn answer(&self, request: &Received) -> Answer {
        (self.0)(request)
    }
}

impl fmt::Debug for Decision {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Decision")
    }
}
