//! An answer on its way through: its first bytes show whether it is one; then it passes as it comes, looked at for what it
//! took and for an error in the middle of a stream.

use std::time::Duration;

use llm_balancer_router::Attempt;
use llm_balancer_router::UsageScanner;
use llm_balancer_router::answer_check::{Beginning, Checked, Form, check, tells_of_an_error};
use llm_balancer_router::{Passed, UsageEventFilter};
use llm_balancer_router::{ResponseSummary, StreamEnd};

use crate::host::{self, BufferType, MapType};

/// One answer that has begun.
pub(crate) struct Answering {
    pub(crate) attempt: Box<Attempt>,
    pub(crate) status: u16,
    /// When the first byte came that is held, and in how many pieces it is.
    held: Option<(Duration, u32)>,
    first_byte: Option<Duration>,
    form: Form,
    /// Whether a stream told of an error after it had begun.
    tells_of_an_error: bool,
    usage: UsageScanner,
    withholder: Option<UsageEventFilter>,
}

impl Answering {
    /// To be called while its headers can still be changed.
    pub(crate) fn new(attempt: Box<Attempt>, status: u16) -> Self {
        let is_withheld = attempt.filters_usage_event
            && host::header(MapType::Response, "content-type")
                .is_some_and(|kind| kind.contains("event-stream"));
        if is_withheld {
            // It is going to be shorter than the provider says.
            host::remove_header(MapType::Response, "content-length");
        }
        Self {
            status,
            usage: UsageScanner::new(),
            withholder: is_withheld.then(UsageEventFilter::new),
            held: None,
            first_byte: None,
            form: Form::Whole,
            tells_of_an_error: false,
            attempt,
        }
    }

    /// Whether it is an answer, by all of its body that is there.
    pub(crate) fn check(&mut self, bytes: &[u8], complete: bool) -> Checked {
        let (since, pieces) = self.held.unwrap_or_default();
        let held = if pieces == 0 { Duration::ZERO } else { host::now().saturating_sub(since) };
        let pieces = pieces.saturating_add(1);
        let header = |name: &str| host::header(MapType::Response, name);
        let Attempt { route, .. } = *self.attempt;
        let checked =
            check(&Beginning { route, status: self.status, bytes, complete, pieces, held, header: &header });
        match checked {
            Checked::Genuine(form) => self.form = form,
            Checked::Undecided if pieces == 1 => self.held = Some((host::now(), pieces)),
            Checked::Undecided => self.held = Some((since, pieces)),
            Checked::Failed(_) => {}
        }
        checked
    }

    /// A part of the body, which may be empty.
    pub(crate) fn pass(&mut self, chunk: &[u8], complete: bool) {
        if !chunk.is_empty() && self.first_byte.is_none() {
            self.first_byte = Some(host::now());
        }
        self.usage.feed(chunk);
        self.tells_of_an_error |= self.form == Form::Events && tells_of_an_error(chunk);
        let Some(withholder) = &mut self.withholder else { return };
        if let Passed::Replaced(bytes) = withholder.feed(chunk, complete) {
            // FailureCount only where the response has gone.
            let _ = host::set_buffer(BufferType::ResponseBody, &bytes);
        }
    }

    /// What is known of it at its end.
    pub(crate) fn ended(&self, end: StreamEnd) -> ResponseSummary {
        // A stream that ends with an error has not been served.
        let end =
            if self.tells_of_an_error && end == StreamEnd::Complete { StreamEnd::Interrupted } else { end };
        ResponseSummary { status: self.status, first_byte: self.first_byte, usage: self.usage.usage(), end }
    }
}
