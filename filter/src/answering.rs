//! An answer on its way through: each part is read for what the answer took, and passes on as it comes, except where an event that
//! only the filter asked for is left out.

use std::time::Duration;

use llm_balancer_router::attempt::Attempt;
use llm_balancer_router::usage::UsageScanner;
use llm_balancer_router::withhold::{Passed, Withholder};
use llm_balancer_router::{End, Ended};

use crate::host::{self, BufferType, MapType};

/// One answer that has begun.
pub(crate) struct Answering {
    pub(crate) attempt: Box<Attempt>,
    status: u16,
    first_byte: Option<Duration>,
    usage: UsageScanner,
    withholder: Option<Withholder>,
}

impl Answering {
    /// To be called while its headers can still be changed.
    pub(crate) fn new(attempt: Box<Attempt>, status: u16) -> Self {
        let is_withheld = attempt.withholds_usage
            && host::header(MapType::Response, "content-type")
                .is_some_and(|kind| kind.contains("event-stream"));
        if is_withheld {
            // It is going to be shorter than the provider says.
            host::remove_header(MapType::Response, "content-length");
        }
        Self {
            status,
            usage: UsageScanner::new(),
            withholder: is_withheld.then(Withholder::new),
            first_byte: None,
            attempt,
        }
    }

    /// A part of the body, which may be empty.
    pub(crate) fn pass(&mut self, size: usize, complete: bool) {
        if size > 0 && self.first_byte.is_none() {
            self.first_byte = Some(host::now());
        }
        let chunk = if size > 0 { host::buffer(BufferType::ResponseBody) } else { Vec::new() };
        self.usage.feed(&chunk);
        let Some(withholder) = &mut self.withholder else { return };
        if let Passed::Instead(bytes) = withholder.feed(&chunk, complete) {
            // Fails only where the response has gone.
            let _ = host::set_buffer(BufferType::ResponseBody, &bytes);
        }
    }

    /// What is known of it at its end.
    pub(crate) fn ended(&self, end: End) -> Ended {
        Ended { status: self.status, first_byte: self.first_byte, usage: self.usage.usage(), end }
    }
}
