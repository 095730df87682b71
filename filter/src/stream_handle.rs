//! A way to a stream from outside of its own callbacks: for timers, and for Redis.

use std::rc::Weak;

use llm_balancer_router::stream::Due;

use crate::hostcalls;

/// A stream, as timers and Redis see it. One that is busy ignores them.
pub(crate) trait Wake {
    fn on_timer(&self, due: Due);
    fn on_redis_ready(&self);
}

/// A stream that may have ended.
#[derive(Clone)]
pub(crate) struct StreamHandle {
    context: u32,
    stream: Weak<dyn Wake>,
}

impl StreamHandle {
    /// The stream with this context.
    pub(crate) fn new(context: u32, stream: Weak<dyn Wake>) -> Self {
        Self { context, stream }
    }

    /// Envoy's id of the stream's context.
    pub(crate) fn context(&self) -> u32 {
        self.context
    }

    pub(crate) fn on_timer(&self, due: Due) {
        self.enter(|stream| stream.on_timer(due));
    }

    pub(crate) fn on_redis_ready(&self) {
        self.enter(|stream| stream.on_redis_ready());
    }

    /// Makes host calls speak for this stream, if it has not ended.
    fn enter(&self, callback: impl FnOnce(&dyn Wake)) {
        if let Some(stream) = self.stream.upgrade() {
            hostcalls::in_stream(self.context, || callback(&*stream));
        }
    }
}
