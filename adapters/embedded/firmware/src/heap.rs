//! The heap, which counts its bytes.

use core::alloc::{GlobalAlloc, Layout};
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use embedded_alloc::LlffHeap;

const SIZE: usize = 256 * 1024;

pub struct Counting {
    heap: LlffHeap,
    used: AtomicUsize,
    peak: AtomicUsize,
}

#[global_allocator]
pub static HEAP: Counting = Counting { heap: LlffHeap::empty(), used: AtomicUsize::new(0), peak: AtomicUsize::new(0) };

/// Call it once, before anything is allocated.
pub fn init() {
    static mut MEMORY: [u8; SIZE] = [0; SIZE];
    // SAFETY: nothing else uses this memory, and the function is called once.
    unsafe { HEAP.heap.init(&raw mut MEMORY as usize, SIZE) }
}

impl Counting {
    /// The bytes that are allocated, as the application has asked for them.
    pub fn used(&self) -> usize {
        self.used.load(Relaxed)
    }

    /// The most bytes that were allocated since the last call.
    pub fn take_peak(&self) -> usize {
        self.peak.swap(self.used(), Relaxed)
    }
}

// SAFETY: all memory is that of the inner heap.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as required of the caller.
        let memory = unsafe { self.heap.alloc(layout) };
        if !memory.is_null() {
            let used = self.used.fetch_add(layout.size(), Relaxed) + layout.size();
            self.peak.fetch_max(used, Relaxed);
        }
        memory
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        self.used.fetch_sub(layout.size(), Relaxed);
        // SAFETY: as required of the caller.
        unsafe { self.heap.dealloc(memory, layout) }
    }
}
