//! Memory for large bodies. A VM never returns memory to the system, and the gap that one body
//! leaves may not fit the next one. So each worker reserves one block with the first large body; it
//! holds the largest body that is let in. Pages of it that no body has reached cost nothing.
//!
//! It is a part of the global allocator because the SDK allocates what the host passes.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ptr::null_mut;

/// Bytes; smaller allocations are left to the system's allocator.
const LARGE: usize = 256 * 1024;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator {
    block: Cell::new(null_mut()),
    capacity: Cell::new(0),
    is_used: Cell::new(false),
    most: Cell::new(0),
};

/// The system's allocator, and the block.
struct Allocator {
    block: Cell<*mut u8>,
    capacity: Cell<usize>,
    is_used: Cell<bool>,
    /// Bytes of the largest body that is let in; 0 before there is a configuration.
    most: Cell<usize>,
}

// SAFETY: wasm32-wasip1 has one thread.
unsafe impl Sync for Allocator {}

/// Lets bodies have so many bytes from now on.
pub(crate) fn expect_bodies(most: u64) {
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    ALLOCATOR.most.set(ALLOCATOR.most.get().max(most));
}

impl Allocator {
    /// The block, if it is free and as large as this.
    fn lend(&self, size: usize) -> Option<*mut u8> {
        if self.is_used.get() || !(LARGE..=self.most.get()).contains(&size) {
            return None;
        }
        if self.capacity.get() < size {
            self.reserve()?;
        }
        self.is_used.set(true);
        Some(self.block.get())
    }

    /// Reserves a block for the largest body, in place of a smaller one.
    fn reserve(&self) -> Option<()> {
        let (old, new) = (bytes(self.capacity.get())?, bytes(self.most.get())?);
        // SAFETY: the block is free, and was allocated with this layout; the new one is not empty.
        let block = unsafe {
            if !self.block.get().is_null() {
                System.dealloc(self.block.get(), old);
            }
            System.alloc(new)
        };
        self.block.set(block);
        self.capacity.set(if block.is_null() { 0 } else { new.size() });
        (!block.is_null()).then_some(())
    }

    fn is_block(&self, data: *mut u8) -> bool {
        self.is_used.get() && data == self.block.get()
    }
}

fn bytes(size: usize) -> Option<Layout> {
    Layout::array::<u8>(size).ok()
}

// SAFETY: everything but the block comes from the system's allocator and returns there. The block
// is lent to one owner at a time, and only for byte arrays that fit into it.
unsafe impl GlobalAlloc for Allocator {
    #[inline(never)]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.size() >= LARGE
            && layout.align() == 1
            && let Some(block) = self.lend(layout.size())
        {
            return block;
        }
        // SAFETY: the caller's promises are the same.
        unsafe { System.alloc(layout) }
    }

    #[inline(never)]
    unsafe fn dealloc(&self, data: *mut u8, layout: Layout) {
        if self.is_block(data) {
            return self.is_used.set(false);
        }
        // SAFETY: `alloc` got this from the system's allocator.
        unsafe { System.dealloc(data, layout) }
    }

    #[inline(never)]
    unsafe fn realloc(&self, data: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if !self.is_block(data) {
            // SAFETY: `alloc` got this from the system's allocator.
            return unsafe { System.realloc(data, layout, size) };
        }
        if size <= self.capacity.get() {
            return data;
        }
        let Some(new) = bytes(size) else { return null_mut() };
        // SAFETY: both are valid for `layout.size()` bytes, and do not overlap.
        unsafe {
            let moved = System.alloc(new);
            if !moved.is_null() {
                moved.copy_from_nonoverlapping(data, layout.size());
                self.is_used.set(false);
            }
            moved
        }
    }
}
