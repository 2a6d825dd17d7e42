//! Values that the application stores with a client, one for each type. The values of a middleware are passed to its socket.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use crate::sync::lock;

type Values = HashMap<TypeId, Arc<dyn Any + Send + Sync>>;

/// Values by type. Usually there are few or none.
#[derive(Default)]
pub(crate) struct Extensions(Mutex<Option<Box<Values>>>);

impl Extensions {
    /// Stores a value. Returns the previous value of its type.
    pub(crate) fn insert<T: Send + Sync + 'static>(&self, value: T) -> Option<Arc<T>> {
        self.insert_if(value, || true)
    }

    /// Same as [`Extensions::insert`], but only if `may` returns true. The lock is held while `may` runs, so no other task can
    /// clear the values in between.
    pub(crate) fn insert_if<T: Send + Sync + 'static>(&self, value: T, may: impl FnOnce() -> bool) -> Option<Arc<T>> {
        let value: Arc<dyn Any + Send + Sync> = Arc::new(value);
        let mut values = lock(&self.0);
        if !may() {
            // Release the lock first: dropping the value runs application code.
            drop(values);
            return None;
        }
        let old = values.get_or_insert_default().insert(TypeId::of::<T>(), value);
        drop(values);
        old.and_then(|old| old.downcast().ok())
    }

    /// Replaces the value of this type by a changed clone of it, or of its default if there is none. Does nothing if `may` returns false. The
    /// lock is held while `may`, `clone` and `change` run.
    pub(crate) fn change_if<T: Default + Clone + Send + Sync + 'static>(
        &self,
        may: impl FnOnce() -> bool,
        change: impl FnOnce(&mut T),
    ) {
        let id = TypeId::of::<T>();
        let mut values = lock(&self.0);
        if !may() {
            // Release the lock first: dropping `change` runs application code.
            return drop(values);
        }
        let values_by_type = values.get_or_insert_default();
        let known = values_by_type.get(&id).and_then(|value| value.downcast_ref::<T>());
        let mut changed = known.cloned().unwrap_or_default();
        change(&mut changed);
        let old = values_by_type.insert(id, Arc::new(changed));
        drop(values);
        drop(old);
    }

    /// The value of this type.
    pub(crate) fn get<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        let value = lock(&self.0).as_ref()?.get(&TypeId::of::<T>()).cloned()?;
        value.downcast().ok()
    }

    /// Uses the value of this type, or its default, which is stored. Returns `None` if `may` returns false. The lock is held while `may` and
    /// `change` run, so no other task can look at the values or clear them in between.
    pub(crate) fn use_default_if<T: Default + Send + Sync + 'static, R>(
        &self,
        may: impl FnOnce() -> bool,
        change: impl FnOnce(&T) -> R,
    ) -> Option<R> {
        let mut values = lock(&self.0);
        if !may() {
            return None;
        }
        let value = values.get_or_insert_default().entry(TypeId::of::<T>()).or_insert_with(|| Arc::new(T::default()));
        value.downcast_ref().map(change)
    }

    /// Drops all values.
    pub(crate) fn clear(&self) {
        let values = lock(&self.0).take();
        // After the lock is released, because dropping the values runs application code.
        drop(values);
    }

    /// The same values once more, without those of these types.
    pub(crate) fn copied_without(&self, types: &[TypeId]) -> Self {
        let mut values = lock(&self.0).clone();
        if let Some(values) = &mut values {
            // The original still has them, so nothing of the application is dropped here.
            values.retain(|id, _| !types.contains(id));
        }
        Self(Mutex::new(values))
    }

    /// Moves those values here whose types have none. The others stay there, so that nothing is dropped.
    pub(crate) fn add_missing(&self, from: &Self) {
        let Some(others) = &mut *lock(&from.0) else { return };
        let mut values = lock(&self.0);
        let values = values.get_or_insert_default();
        let missing: Vec<TypeId> = others.keys().filter(|key| !values.contains_key(key)).copied().collect();
        values.extend(missing.into_iter().filter_map(|key| others.remove_entry(&key)));
    }

    /// Takes all values.
    pub(crate) fn take(&self) -> Self {
        Self(Mutex::new(lock(&self.0).take()))
    }
}
