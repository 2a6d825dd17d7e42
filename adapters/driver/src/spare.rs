//! Keeps one spare vector for each thread, so that busy peers do not allocate vectors for their mailboxes, and idle peers keep none.
//!
//! A turn fills a vector, empties it, and gives it back. The next turn on the thread, of any peer, takes it again.

use std::any::Any;
use std::cell::RefCell;

/// The maximum capacity of a spare vector. Longer ones come from bursts and are freed.
const KEPT: usize = 256;

thread_local! {
    // For one type of items at a time, because a thread rarely serves more than one kind of peer.
    static SPARE: RefCell<Option<Box<dyn Any>>> = const { RefCell::new(None) };
}

/// Runs `work` on the thread's spare vector of `T`. Creates the vector if there is none.
fn with<T: 'static, R>(work: impl FnOnce(&mut Vec<T>) -> R) -> R {
    SPARE.with_borrow_mut(|spare| {
        if let Some(spare) = spare.as_mut().and_then(|spare| spare.downcast_mut()) {
            return work(spare);
        }
        let mut vector = Vec::new();
        let result = work(&mut vector);
        *spare = Some(Box::new(vector));
        result
    })
}

/// Takes the spare vector, or returns a new one.
#[inline]
pub(crate) fn take<T: 'static>() -> Vec<T> {
    with(std::mem::take)
}

/// Gives an empty vector back.
#[inline]
pub(crate) fn give<T: 'static>(vector: Vec<T>) {
    debug_assert!(vector.is_empty());
    if (1..=KEPT).contains(&vector.capacity()) {
        with(|spare| *spare = vector);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_goes_from_one_owner_to_the_next_and_large_vectors_go_back() {
        give(Vec::<u64>::with_capacity(10));
        let vector = take::<u64>();
        assert!(vector.capacity() >= 10);
        assert_eq!(take::<u64>().capacity(), 0, "it has an owner");
        give(vector);
        assert_eq!(take::<u32>().capacity(), 0, "another type");
        give(Vec::<u32>::with_capacity(KEPT + 1));
        assert_eq!(take::<u32>().capacity(), 0, "too large to keep");
    }
}
