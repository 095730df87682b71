#![no_main]
#![allow(missing_docs, reason = "the function has them")]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| llm_balancer_fuzz::config_text(bytes));
