//! A list that usually has one element. A single element is stored inline, without an allocation.

use alloc::vec::Vec;
use core::ops::Deref;
use core::slice;

/// Values in the order in which they were pushed.
#[derive(Clone, Debug)]
pub(crate) enum Few<T> {
    One(T),
    /// No value, or several.
    Many(Vec<T>),
}

impl<T> Few<T> {
    pub(crate) const fn new() -> Self {
        Self::Many(Vec::new())
    }

    /// With capacity for `count` values, if `count` is greater than one.
    pub(crate) fn with_capacity(count: usize) -> Self {
        Self::Many(if count > 1 { Vec::with_capacity(count) } else { Vec::new() })
    }

    #[inline]
    pub(crate) fn push(&mut self, value: T) {
        match self {
            Self::Many(values) if values.capacity() > 0 => values.push(value),
            Self::Many(_) => *self = Self::One(value),
            Self::One(_) => self.push_second(value),
        }
    }

    #[cold]
    fn push_second(&mut self, value: T) {
        // A second value is often followed by more.
        if let Self::One(first) = core::mem::replace(self, Self::with_capacity(4)) {
            self.push(first);
        }
        self.push(value);
    }

    pub(crate) fn truncate(&mut self, length: usize) {
        match self {
            Self::One(_) if length == 0 => *self = Self::new(),
            Self::One(_) => {}
            Self::Many(values) => values.truncate(length),
        }
    }
}

impl<T> Deref for Few<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        match self {
            Self::One(value) => slice::from_ref(value),
            Self::Many(values) => values,
        }
    }
}

impl<T> From<Vec<T>> for Few<T> {
    fn from(values: Vec<T>) -> Self {
        Self::Many(values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_back_in_order_however_many_there_are() {
        for count in 0..4 {
            let mut few = Few::new();
            (0..count).for_each(|value| few.push(value));
            assert_eq!(*few, (0..count).collect::<Vec<_>>());
            for length in (0..=count).rev() {
                few.truncate(length);
                assert_eq!(*few, (0..length).collect::<Vec<_>>());
            }
            few.push(7);
            assert_eq!(*few, [7]);
            let mut few = Few::with_capacity(count);
            (0..4).for_each(|value| few.push(value));
            assert_eq!(*few, [0, 1, 2, 3]);
        }
    }
}
