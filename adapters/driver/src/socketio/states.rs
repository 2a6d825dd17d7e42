//! The state of a server: values of the application, one for each type, fixed when the server is built.

use std::any::{Any, TypeId};

/// Values by type. There are few, so they are searched one after the other.
#[derive(Default)]
#[doc(hidden)]
#[allow(missing_debug_implementations, reason = "holds values of the application")]
pub struct States(Vec<(TypeId, Box<dyn Any + Send + Sync>)>);

impl States {
    pub(crate) const fn new() -> Self {
        Self(Vec::new())
    }

    /// Adds a value. It replaces an earlier one of its type.
    pub(crate) fn insert<T: Send + Sync + 'static>(&mut self, value: T) {
        let id = TypeId::of::<T>();
        self.0.retain(|(known, _)| *known != id);
        self.0.push((id, Box::new(value)));
    }

    pub(crate) fn get<T: 'static>(&self) -> Option<&T> {
        let (_, value) = self.0.iter().find(|(id, _)| *id == TypeId::of::<T>())?;
        value.downcast_ref()
    }
}
