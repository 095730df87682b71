//! The part of the proxy-wasm ABI 0.2.1 that holding needs.
//! <https://github.com/proxy-wasm/spec/tree/main/abi-versions/v0.2.1>

use core::ptr::{null, null_mut};
use core::sync::atomic::{AtomicU8, Ordering::Relaxed};

use crate::rule::{Decision, FILLER, decide, is_filler, is_success};
use crate::slots::Slot;

const CONTINUE: u32 = 0;
const PAUSE: u32 = 1;
/// The ABI's number of a response's headers.
const RESPONSE_HEADERS: u32 = 2;
/// The ABI's number of a response's body.
const RESPONSE_BODY: u32 = 1;
const STATUS: &[u8] = b":status";

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    fn proxy_get_header_map_value(
        kind: u32,
        name: *const u8,
        name_size: usize,
        value: *mut *const u8,
        value_size: *mut usize,
    ) -> u32;

    fn proxy_get_buffer_bytes(
        kind: u32,
        start: usize,
        most: usize,
        value: *mut *const u8,
        value_size: *mut usize,
    ) -> u32;

    fn proxy_get_current_time_nanoseconds(time: *mut u64) -> u32;
}

/// Where Envoy writes a status, or the first bytes of a body. Nothing else runs in this VM while it is
/// read.
static VALUE: [AtomicU8; FILLER] = [const { AtomicU8::new(0) }; FILLER];

/// The version of the ABI.
#[unsafe(no_mangle)]
pub extern "C" fn proxy_abi_version_0_2_1() {}

/// Memory for a value of the host; none for one that is too long.
#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_memory_allocate(size: usize) -> *mut u8 {
    if size <= VALUE.len() { VALUE.as_ptr().cast_mut().cast() } else { null_mut() }
}

/// The headers of a response.
#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_response_headers(context: u32, _count: u32, complete: u32) -> u32 {
    if complete != 0 {
        return CONTINUE;
    }
    Slot::hold(context);
    PAUSE
}

/// A part of a response's body; `held` is the size of all that Envoy holds.
#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_response_body(context: u32, held: usize, complete: u32) -> u32 {
    let Some(slot) = Slot::held(context) else { return CONTINUE };
    match decide(held, complete != 0, has_success_status, || holds_filler() && slot.may_wait(now())) {
        Decision::Hold => PAUSE,
        Decision::Pass => {
            slot.release();
            CONTINUE
        }
    }
}

/// Milliseconds since some moment; never 0.
fn now() -> u32 {
    let mut nanoseconds = 0;
    // SAFETY: a valid place for the result.
    unsafe { proxy_get_current_time_nanoseconds(&raw mut nanoseconds) };
    (nanoseconds / 1_000_000) as u32 | 1
}

fn has_success_status() -> bool {
    let (mut value, mut size): (*const u8, usize) = (null(), 0);
    // SAFETY: pointer and length of a live text, and valid places for the results.
    let result = unsafe {
        proxy_get_header_map_value(
            RESPONSE_HEADERS,
            STATUS.as_ptr(),
            STATUS.len(),
            &raw mut value,
            &raw mut size,
        )
    };
    let digits: [u8; 4] = core::array::from_fn(|at| VALUE.get(at).map_or(0, |digit| digit.load(Relaxed)));
    result == 0 && digits.get(..size).is_some_and(is_success)
}

/// Whether all that is held is filler, which is no more than [`FILLER`] bytes.
fn holds_filler() -> bool {
    let (mut value, mut size): (*const u8, usize) = (null(), 0);
    // SAFETY: valid places for the results.
    let result =
        unsafe { proxy_get_buffer_bytes(RESPONSE_BODY, 0, VALUE.len(), &raw mut value, &raw mut size) };
    result == 0 && is_filler(VALUE.iter().take(size).map(|byte| byte.load(Relaxed)))
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    core::arch::wasm32::unreachable()
}
