//! The alias [`Arc`], which works on every processor.

#[cfg(not(all(feature = "portable-atomic", not(target_has_atomic = "ptr"))))]
use alloc::sync::Arc as Counted;
#[cfg(all(feature = "portable-atomic", not(target_has_atomic = "ptr")))]
use portable_atomic_util::Arc as Counted;

/// A shared pointer to data that several machines use, such as their configuration. This is the `Arc` of `alloc` and `std`.
///
/// On processors without compare-and-swap, `alloc` has no `Arc`. There, the feature `portable-atomic` makes this the `Arc` of the crate
/// `portable-atomic-util`. Code that must run on such processors should use this alias.
pub type Arc<T> = Counted<T>;
