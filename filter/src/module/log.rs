//! The log: Envoy's, as component `dynamic_modules`.

use std::panic;

use log::{Level, LevelFilter, Log, Metadata, Record};

use super::abi::{CRITICAL, ERROR, ModuleBuffer, WARN, envoy_dynamic_module_callback_log};

struct EnvoyLog;

impl Log for EnvoyLog {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= Level::Warn
    }

    fn log(&self, record: &Record<'_>) {
        let level = if record.level() == Level::Error { ERROR } else { WARN };
        if self.enabled(record.metadata()) {
            write(level, &record.args().to_string());
        }
    }

    fn flush(&self) {}
}

fn write(level: u32, line: &str) {
    // SAFETY: the text lives longer than the call.
    unsafe { envoy_dynamic_module_callback_log(level, ModuleBuffer::new(line.as_bytes())) };
}

/// Writes the filter's lines, and those of panics, to Envoy's log.
pub(super) fn start() {
    // Fails only if it was called before.
    if log::set_logger(&EnvoyLog).is_ok() {
        log::set_max_level(LevelFilter::Warn);
        panic::set_hook(Box::new(|panic| write(CRITICAL, &panic.to_string().replace('\n', " "))));
    }
}
