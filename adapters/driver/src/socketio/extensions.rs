//! What the application keeps with a client: one value of each type. A guard's values become its socket's.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use crate::sync::lock;

type Values = HashMap<TypeId, Arc<dyn Any + Send + Sync>>;

/// Values by their type. Nearly always there are none, or few.
#[derive(Default)]
pub(crate) struct Extensions(Mutex<Option<Box<Values>>>);

impl Extensions {
    /// Keeps a value; returns the one of its type that was there.
    pub(crate) fn insert<T: Send + Sync + 'static>(&self, value: T) -> Option<Arc<T>> {
        self.insert_if(value, || true)
    }

    /// As [`Extensions::insert`], if `may` says so when nobody can clear in between.
    pub(crate) fn insert_if<T: Send + Sync + 'static>(&self, value: T, may: impl FnOnce() -> bool) -> Option<Arc<T>> {
        let value: Arc<dyn Any + Send + Sync> = Arc::new(value);
        let mut values = lock(&self.0);
        if !may() {
            // Before the value, which is the application's, is dropped.
            drop(values);
            return None;
        }
        let old = values.get_or_insert_default().insert(TypeId::of::<T>(), value);
        drop(values);
        old.and_then(|old| old.downcast().ok())
    }

    /// The value of this type.
    pub(crate) fn get<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        let value = lock(&self.0).as_ref()?.get(&TypeId::of::<T>()).cloned()?;
        value.downcast().ok()
    }

    /// Drops all of them.
    pub(crate) fn clear(&self) {
        let values = lock(&self.0).take();
        // Dropped after the lock was let go: what it holds is the application's.
        drop(values);
    }

    /// Takes all of them.
    pub(crate) fn take(&self) -> Self {
        Self(Mutex::new(lock(&self.0).take()))
    }
}
