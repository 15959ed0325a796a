//! The memory of a program that lives for half a millisecond: one fixed piece, handed out from its start and never taken back.
//!
//! musl's allocator maps and unmaps pages for nearly every request of this program, which is a tenth of a start's time. Requests that do
//! not fit any more go to it.
#![expect(unsafe_code, reason = "an allocator hands out raw memory")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Enough for the metadata and environment of usual images. Untouched pages cost nothing.
const SIZE: usize = 256 << 10;

/// The fixed piece and how much of it is given away.
pub(crate) struct Arena {
    memory: UnsafeCell<[u8; SIZE]>,
    used: AtomicUsize,
}

// SAFETY: `used` gives each byte of `memory` to one caller only, whatever the thread.
unsafe impl Sync for Arena {}

impl Arena {
    #[expect(
        clippy::large_stack_arrays,
        reason = "it is the first value of a static"
    )]
    pub(crate) const fn new() -> Self {
        Self {
            memory: UnsafeCell::new([0; SIZE]),
            used: AtomicUsize::new(0),
        }
    }

    fn start(&self) -> usize {
        self.memory.get() as usize
    }

    fn take(&self, layout: Layout) -> Option<*mut u8> {
        let fit = |used: usize| {
            let from =
                (self.start() + used).checked_next_multiple_of(layout.align())? - self.start();
            let to = from.checked_add(layout.size()).filter(|&to| to <= SIZE)?;
            Some((from, to))
        };
        let mut used = self.used.load(Ordering::Relaxed);
        loop {
            let (from, to) = fit(used)?;
            match self
                .used
                .compare_exchange_weak(used, to, Ordering::Relaxed, Ordering::Relaxed)
            {
                // SAFETY: `from` is within the piece.
                Ok(_) => return Some(unsafe { self.memory.get().cast::<u8>().add(from) }),
                Err(now) => used = now,
            }
        }
    }
}

// SAFETY: memory comes from `take`, which never hands out a byte twice, or from the system's allocator; which of both is told by the address.
unsafe impl GlobalAlloc for Arena {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promises are handed on.
        self.take(layout)
            .unwrap_or_else(|| unsafe { System.alloc(layout) })
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        let start = self.start();
        if !(start..start + SIZE).contains(&(memory as usize)) {
            // SAFETY: it is not of the piece, so it came from the system's allocator.
            unsafe { System.dealloc(memory, layout) }
        }
    }
}
