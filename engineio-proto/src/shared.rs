//! Memory with several owners, on every processor.

#[cfg(not(all(feature = "portable-atomic", not(target_has_atomic = "ptr"))))]
use alloc::sync::Arc as Counted;
#[cfg(all(feature = "portable-atomic", not(target_has_atomic = "ptr")))]
use portable_atomic_util::Arc as Counted;

/// What several machines share, such as a configuration. This is the `Arc` of `alloc` and `std`.
///
/// A processor without compare-and-swap has no such type. There, with the feature `portable-atomic`, it is the `Arc` of the crate
/// `portable-atomic-util`. Code that runs on such a processor too takes the type from here.
pub type Arc<T> = Counted<T>;
