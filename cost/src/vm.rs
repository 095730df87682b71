//! The filter in the interpreter, and its callbacks in the order in which Envoy makes them.

use wasmi::{Engine, Instance, Linker, Module, Store, TypedFunc, Val};

use crate::host::{self, Headers, Host, Memory};
use crate::instrument::{self, Instrumented, instrument};
use crate::tally::Tally;

/// The root context; those of streams follow.
const ROOT: i32 = 1;

/// Time between two callbacks, in nanoseconds.
const STEP: u64 = 100_000;

/// 2026-01-01, in nanoseconds since the Unix epoch.
const START: u64 = 1_767_225_600_000_000_000;

/// A worker with one configuration.
pub struct Vm {
    store: Store<Host>,
    instance: Instance,
    last_context: i32,
    /// Names of the functions that have code.
    functions: Vec<String>,
}

/// What a client or a provider sends: pieces of a body as Envoy passes them on, one for each read
/// of the connection.
pub struct Sent {
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// Without the empty piece that ends the body: HTTP/1 adds it.
    pub pieces: Vec<Vec<u8>>,
}

/// What the filter made of a request and its response.
pub struct Passed {
    /// To the provider.
    pub request: (Headers, Vec<u8>),
    /// To the client.
    pub response: (Headers, Vec<u8>),
    /// The line of the access log.
    pub log_line: Vec<u8>,
    /// What it cost.
    pub tally: Tally,
}

/// Direction of a message.
#[derive(Clone, Copy)]
enum Way {
    Request,
    Response,
}

impl Vm {
    /// Starts the filter with a configuration.
    ///
    /// # Panics
    ///
    /// Panics if the code is no filter, or refuses the configuration; so do all functions of a VM
    /// when the filter traps.
    pub fn start(code: &[u8], configuration: &str) -> Self {
        let Instrumented { code, functions } = instrument(code);
        let engine = Engine::default();
        let module = Module::new(&engine, &code).unwrap_or_else(|error| panic!("not a module: {error}"));
        let mut store = Store::new(&engine, Host::default());
        let mut linker = Linker::new(&engine);
        host::link(&module, &mut linker);
        let instance = linker.instantiate_and_start(&mut store, &module).expect("all imports are defined");
        let memory = instance.get_memory(&store, "memory").expect("the module exports its memory");
        let allocate =
            instance.get_typed_func(&store, "proxy_on_memory_allocate").expect("the SDK exports it");
        let instructions = instance.get_global(&store, instrument::ALL).expect("the counter is exported");
        let host = store.data_mut();
        host.memory = Some(Memory { bytes: memory, allocate, instructions });
        host.now = START;
        host.configuration = configuration.into();
        let mut vm = Self { store, instance, last_context: ROOT, functions };
        vm.configure(configuration.len());
        vm
    }

    fn configure(&mut self, length: usize) {
        let initialize: TypedFunc<(), ()> =
            self.instance.get_typed_func(&self.store, "_initialize").expect("a reactor exports it");
        initialize.call(&mut self.store, ()).expect("initialization does not trap");
        self.enter("proxy_on_context_create", &[ROOT, 0]);
        assert_eq!(self.enter("proxy_on_vm_start", &[ROOT, 0]), 1, "the VM starts");
        let configured = self.enter("proxy_on_configure", &[ROOT, to_i32(length)]);
        assert_eq!(configured, 1, "the configuration is accepted");
    }

    /// One second later, Envoy's timer fires.
    pub fn tick(&mut self) -> Tally {
        self.store.data_mut().tally = Tally::default();
        self.store.data_mut().now += 1_000_000_000;
        self.enter("proxy_on_tick", &[ROOT]);
        std::mem::take(&mut self.store.data_mut().tally)
    }

    /// One request that is answered.
    pub fn exchange(&mut self, request: Sent, response: Sent) -> Passed {
        self.last_context += 1;
        let context = self.last_context;
        let host = self.store.data_mut();
        host.tally = Tally::default();
        host.properties.clear();
        self.enter("proxy_on_context_create", &[context, ROOT]);
        let request = self.pass(Way::Request, request);
        let response = self.pass(Way::Response, response);
        self.enter("proxy_on_log", &[context]);
        let log_line = self.store.data().properties.values().next().cloned().unwrap_or_default();
        assert_eq!(self.enter("proxy_on_done", &[context]), 1, "the context is done at once");
        self.enter("proxy_on_delete", &[context]);
        Passed { request, response, log_line, tally: std::mem::take(&mut self.store.data_mut().tally) }
    }

    /// Passes a message through the filter: what it holds collects, until it lets it go.
    fn pass(&mut self, way: Way, sent: Sent) -> (Headers, Vec<u8>) {
        let (on_headers, on_body) = way.callbacks();
        let headers = sent.headers.into_iter().map(|(name, value)| (name.into_bytes(), value.into_bytes()));
        way.message(&mut self.store).headers = headers.collect();
        let count = way.message(&mut self.store).headers.len();
        let mut is_held = self.enter(on_headers, &[self.last_context, to_i32(count), 0]) != 0;
        let mut passed = Vec::new();
        let pieces = sent.pieces.into_iter().map(|piece| (piece, 0)).chain([(Vec::new(), 1)]);
        for (piece, is_last) in pieces {
            let body = &mut way.message(&mut self.store).body;
            body.extend(piece);
            let size = body.len();
            is_held = self.enter(on_body, &[self.last_context, to_i32(size), is_last]) != 0;
            if !is_held {
                passed.append(&mut way.message(&mut self.store).body);
            }
        }
        assert!(!is_held, "the message is complete, and the filter holds it: {on_body}");
        (way.message(&mut self.store).headers.clone(), passed)
    }

    fn memory(&self) -> Memory {
        self.store.data().memory.expect("the VM has started")
    }

    /// Instructions by function since the start of the VM.
    pub fn instructions_by_function(&self) -> Vec<(String, u64)> {
        let count = |function: usize| {
            let counter = self.instance.get_global(&self.store, &instrument::of(function));
            match counter.map(|counter| counter.get(&self.store)) {
                Some(Val::I64(count)) => count.cast_unsigned(),
                other => panic!("the counter of a function is {other:?}"),
            }
        };
        self.functions.iter().enumerate().map(|(i, name)| (name.clone(), count(i))).collect()
    }

    /// Calls an export of the module, and counts. Returns its result; 0 if it has none.
    fn enter(&mut self, name: &str, arguments: &[i32]) -> i32 {
        let function = self.instance.get_func(&self.store, name).expect("the SDK exports all callbacks");
        let arguments: Vec<Val> = arguments.iter().map(|argument| Val::I32(*argument)).collect();
        let mut results = vec![Val::I32(0); function.ty(&self.store).results().len()];
        self.store.data_mut().now += STEP;
        let before = self.memory().instructions(&self.store);
        let called = function.call(&mut self.store, &arguments, &mut results);
        called.unwrap_or_else(|error| panic!("{name}: {error}"));
        let instructions = self.memory().instructions(&self.store) - before;
        let host = self.store.data_mut();
        let nested = std::mem::take(&mut host.nested_instructions);
        let entry = host.tally.entry(name);
        entry.entries += 1;
        entry.instructions += instructions - nested;
        results.first().and_then(Val::i32).unwrap_or_default()
    }
}

impl Way {
    fn callbacks(self) -> (&'static str, &'static str) {
        match self {
            Self::Request => ("proxy_on_request_headers", "proxy_on_request_body"),
            Self::Response => ("proxy_on_response_headers", "proxy_on_response_body"),
        }
    }

    fn message(self, store: &mut Store<Host>) -> &mut host::Message {
        match self {
            Self::Request => &mut store.data_mut().request,
            Self::Response => &mut store.data_mut().response,
        }
    }
}

fn to_i32(number: usize) -> i32 {
    i32::try_from(number).expect("bodies have less than 2 GB")
}
