//! Values of the store as bytes: numbers in little-endian order, one after the other.

use crate::state::time::{Minute, UnixMillis, UnixSeconds};

/// Bytes being written.
pub(crate) struct Encoder(pub(crate) Vec<u8>);

impl Encoder {
    pub(crate) fn new(capacity: usize) -> Self {
        Self(Vec::with_capacity(capacity))
    }

    pub(crate) fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    pub(crate) fn u32(&mut self, value: u32) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn u64(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn f32(&mut self, value: f32) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn millis(&mut self, value: UnixMillis) {
        self.u64(value.0);
    }

    pub(crate) fn seconds(&mut self, value: UnixSeconds) {
        self.u32(value.0);
    }

    pub(crate) fn minute(&mut self, value: Minute) {
        self.u32(value.0);
    }
}

/// Bytes being read. Every method returns `None` where too few are left.
pub(crate) struct Decoder<'a>(pub(crate) &'a [u8]);

impl Decoder<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.take::<1>().map(|[byte]| byte)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    /// A finite number.
    pub(crate) fn f32(&mut self) -> Option<f32> {
        self.take().map(f32::from_le_bytes).filter(|value| value.is_finite())
    }

    pub(crate) fn millis(&mut self) -> Option<UnixMillis> {
        self.u64().map(UnixMillis)
    }

    pub(crate) fn seconds(&mut self) -> Option<UnixSeconds> {
        self.u32().map(UnixSeconds)
    }

    pub(crate) fn minute(&mut self) -> Option<Minute> {
        self.u32().map(Minute)
    }
}
