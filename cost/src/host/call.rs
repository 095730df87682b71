//! One call of a function of the host: its arguments, and the VM's memory.

use wasmi::{AsContext, Caller, Error, Global, TypedFunc, Val};

use super::{Host, Status};
use crate::tally::{ALLOCATE, HostCalls};

/// A function of the host.
pub(super) type Function = fn(&mut Call<'_>) -> Result<Status, Error>;

/// What the host needs of the module to return bytes.
#[derive(Clone, Copy)]
pub(crate) struct Memory {
    pub(crate) bytes: wasmi::Memory,
    pub(crate) allocate: TypedFunc<u32, u32>,
    /// The counter of instructions.
    pub(crate) instructions: Global,
}

impl Memory {
    /// Instructions since the start of the VM.
    pub(crate) fn instructions(&self, store: impl AsContext) -> u64 {
        let Val::I64(count) = self.instructions.get(store) else { panic!("the counter has 64 bits") };
        count.cast_unsigned()
    }
}

/// Arguments are named by their positions.
pub(super) struct Call<'a> {
    name: &'a str,
    caller: Caller<'a, Host>,
    arguments: &'a [Val],
}

impl<'a> Call<'a> {
    pub(super) fn new(name: &'a str, mut caller: Caller<'a, Host>, arguments: &'a [Val]) -> Self {
        caller.data_mut().tally.host_call(name).calls += 1;
        Self { name, caller, arguments }
    }

    pub(super) fn host(&mut self) -> &mut Host {
        self.caller.data_mut()
    }

    /// The error of an argument that the host does not expect.
    pub(super) fn unexpected(&self, argument: &[u8]) -> Error {
        Error::new(format!("unexpected {}({:?})", self.name, String::from_utf8_lossy(argument)))
    }

    pub(super) fn u32(&self, at: usize) -> u32 {
        match self.arguments.get(at) {
            Some(Val::I32(value)) => value.cast_unsigned(),
            other => panic!("argument {at} of {} is {other:?}", self.name),
        }
    }

    /// The bytes whose address is this argument, and whose length the next one.
    pub(super) fn bytes(&mut self, at: usize) -> Result<Vec<u8>, Error> {
        let mut bytes = vec![0; self.u32(at + 1) as usize];
        let start = self.u32(at) as usize;
        self.memory().bytes.read(&self.caller, start, &mut bytes)?;
        self.count().bytes_out += bytes.len() as u64;
        Ok(bytes)
    }

    /// The bytes of an array of places: its address is this argument, its length the next one.
    pub(super) fn pieces(&self, at: usize) -> Result<Vec<u8>, Error> {
        let memory = self.memory().bytes.data(&self.caller);
        let number = |at: usize| {
            let bytes = memory.get(at..).and_then(|rest| rest.first_chunk());
            bytes.map(|bytes| u32::from_le_bytes(*bytes) as usize)
        };
        let piece = |place: usize| {
            let start = number(place)?;
            memory.get(start..start + number(place + 4)?)
        };
        let places = (0..self.u32(at + 1)).map(|i| (self.u32(at) + 8 * i) as usize);
        Ok(places.filter_map(piece).flatten().copied().collect())
    }

    /// Writes a number to the place that this argument points to.
    pub(super) fn write(&mut self, at: usize, bytes: &[u8]) -> Result<(), Error> {
        let start = self.u32(at) as usize;
        Ok(self.memory().bytes.write(&mut self.caller, start, bytes)?)
    }

    /// Returns bytes in memory of their own: its address goes where this argument points to, its
    /// length where the next one does. Without bytes, Envoy allocates nothing.
    pub(super) fn give(&mut self, at: usize, bytes: &[u8]) -> Result<Status, Error> {
        let length = u32::try_from(bytes.len()).expect("bodies have less than 4 GB");
        let address = if length == 0 { 0 } else { self.allocate(length)? };
        self.memory().bytes.write(&mut self.caller, address as usize, bytes)?;
        self.write(at, &address.to_le_bytes())?;
        self.write(at + 1, &length.to_le_bytes())?;
        self.count().bytes_in += u64::from(length);
        Ok(Status::Ok)
    }

    fn allocate(&mut self, length: u32) -> Result<u32, Error> {
        let memory = self.memory();
        let before = memory.instructions(&self.caller);
        let address = memory.allocate.call(&mut self.caller, length)?;
        let instructions = memory.instructions(&self.caller) - before;
        let host = self.host();
        host.nested_instructions += instructions;
        let entry = host.tally.entry(ALLOCATE);
        entry.entries += 1;
        entry.instructions += instructions;
        Ok(address)
    }

    fn memory(&self) -> Memory {
        self.caller.data().memory.expect("nothing runs before the module is complete")
    }

    fn count(&mut self) -> &mut HostCalls {
        let name = self.name;
        self.host().tally.host_call(name)
    }
}
