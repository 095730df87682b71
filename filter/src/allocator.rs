//! Memory for large bodies. A VM never gives memory back to the system, and what one body leaves behind may not fit the next one.
//! So each worker sets one block aside, when the first large body comes, which holds the largest that is let in. Pages of it
//! that no body has reached cost nothing.

use std::cell::{Cell, RefCell};
use std::ops::Deref;

/// Bodies below this are allocated like anything else.
const LARGE: usize = 256 * 1024;

thread_local! {
    /// Bytes of the largest body that is let in; 0 before there is a configuration.
    static MOST: Cell<usize> = const { Cell::new(0) };
    /// The block, while no body is in it.
    static SPARE: RefCell<Option<Vec<u8>>> = const { RefCell::new(None) };
    /// The block, while the host writes into it.
    static LENT: RefCell<Option<Vec<u8>>> = const { RefCell::new(None) };
}

/// From now on, bodies may have so many bytes.
pub(crate) fn expect(most: u64) {
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    MOST.set(MOST.get().max(most));
}

/// Memory for a large body that the host is about to hand over; `None` where it is to be allocated like anything else.
pub(crate) fn lend(size: usize) -> Option<*mut u8> {
    if !(LARGE..=MOST.get()).contains(&size) {
        return None;
    }
    // A host that asked for memory and then failed has left the block there.
    let spare = LENT.take().or_else(|| SPARE.take());
    let mut block = spare.filter(|block| block.capacity() >= size).or_else(|| reserve(MOST.get()))?;
    block.clear();
    let data = block.as_mut_ptr();
    LENT.set(Some(block));
    Some(data)
}

fn reserve(size: usize) -> Option<Vec<u8>> {
    let mut block = Vec::new();
    block.try_reserve_exact(size).ok()?;
    Some(block)
}

/// The block, if the host has written these bytes into it.
pub(crate) fn taken(data: *mut u8, size: usize) -> Option<Vec<u8>> {
    let is_lent = |block: &mut Vec<u8>| block.as_mut_ptr() == data && block.capacity() >= size;
    let mut block = LENT.with_borrow_mut(|lent| lent.take_if(is_lent))?;
    // SAFETY: the host has written so many bytes, and the block is at least as large.
    unsafe { block.set_len(size) };
    Some(block)
}

/// A body. Its memory goes back where it came from.
#[derive(Default)]
pub(crate) struct Body(Vec<u8>);

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl Body {
    /// The bytes, to be kept; those of a large body are copied, so that the next one has its block.
    pub(crate) fn into_vec(mut self) -> Vec<u8> {
        if is_block(&self.0) { self.to_vec() } else { std::mem::take(&mut self.0) }
    }
}

/// Whether this is memory that was set aside.
fn is_block(bytes: &Vec<u8>) -> bool {
    bytes.capacity() >= MOST.get().max(LARGE)
}

impl Deref for Body {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        let block = std::mem::take(&mut self.0);
        if is_block(&block) {
            SPARE.set(Some(block));
        }
    }
}
