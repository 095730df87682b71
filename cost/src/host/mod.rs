//! The host's side of the proxy-wasm ABI 0.2.1, as much of it as a request that succeeds needs.
//! Any other function that the filter calls is an error with its name.

mod call;
mod functions;
mod wasi;

use std::collections::HashMap;

pub(crate) use call::Memory;
use call::{Call, Function};
use wasmi::{Error, ExternType, Linker, Module, Val};

use crate::tally::Tally;

/// Headers in the order in which they arrived.
pub(crate) type Headers = Vec<(Vec<u8>, Vec<u8>)>;

/// What the filter sees of Envoy.
#[derive(Default)]
pub(crate) struct Host {
    /// `None` until the module is instantiated.
    pub(crate) memory: Option<Memory>,
    pub(crate) tally: Tally,
    /// Instructions of entries from within host calls, of the callback that runs now.
    pub(crate) nested_instructions: u64,
    /// Nanoseconds since the Unix epoch.
    pub(crate) now: u64,
    random: u8,
    pub(crate) configuration: Vec<u8>,
    pub(crate) request: Message,
    pub(crate) response: Message,
    /// The filter state objects of the stream.
    pub(crate) properties: HashMap<Vec<u8>, Vec<u8>>,
    /// Values with their versions.
    shared_data: HashMap<Vec<u8>, (Vec<u8>, u32)>,
    metrics: Vec<Vec<u8>>,
}

/// One direction of a stream.
#[derive(Default)]
pub(crate) struct Message {
    pub(crate) headers: Headers,
    /// The bytes of the body that the filter can read and change now.
    pub(crate) body: Vec<u8>,
}

/// A status that a function of the host returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    Ok = 0,
    NotFound = 1,
    BadArgument = 2,
    CasMismatch = 8,
}

/// Defines everything that the module imports.
pub(crate) fn link(module: &Module, linker: &mut Linker<Host>) {
    for import in module.imports() {
        let ExternType::Func(kind) = import.ty() else {
            panic!("the filter imports {} from {}, which is not a function", import.name(), import.module())
        };
        let name = import.name().to_owned();
        let function = match import.module() {
            "env" => functions::find(&name),
            _ => wasi::find(&name),
        };
        let call = move |caller: wasmi::Caller<'_, Host>, arguments: &[Val], results: &mut [Val]| {
            let function: Function = function.ok_or_else(|| unexpected(&name))?;
            let mut call = Call::new(&name, caller, arguments);
            let status = function(&mut call)?;
            results.iter_mut().for_each(|result| *result = Val::I32(status as i32));
            Ok(())
        };
        linker.func_new(import.module(), import.name(), kind.clone(), call).expect("each import is new");
    }
}

fn unexpected(name: &str) -> Error {
    Error::new(format!("the host has no function {name}: a request that succeeds should not need it"))
}
