//! The namespaces of a server, by name.
//!
//! Source: socket.io `lib/index.ts` (`of`), `lib/client.ts` (`connect`).

use alloc::collections::BTreeMap;
use alloc::string::String;

use engineio_proto::Text;

use crate::event::Pending;

/// The namespaces of a server, by name. `N` is what the adapter stores for each of them: a [`Namespace`](super::Namespace), or
/// one behind a lock.
#[derive(Clone, Debug)]
pub struct Namespaces<N>(BTreeMap<Text, N>);

impl<N> Namespaces<N> {
    /// Creates an empty table. Add `/` to it: the reference lets every client join `/`, even if the application does not use
    /// it.
    #[must_use]
    pub const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// The full name of a namespace. Adds the leading `/` if it is missing.
    #[must_use]
    pub fn full_name(name: &str) -> Text {
        if name.starts_with('/') { name.into() } else { Text::from(String::from("/") + name) }
    }

    /// Adds a namespace, unless one of this name exists. Returns the namespace that has the name now.
    pub fn insert(&mut self, name: Text, namespace: N) -> &mut N {
        self.0.entry(name).or_insert(namespace)
    }

    /// The namespace with this full name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&N> {
        self.0.get(name)
    }

    /// The namespace that a client asks to join. If it does not exist, refuse the request with
    /// [`Connection::refuse_unknown`](super::Connection::refuse_unknown).
    #[must_use]
    pub fn requested(&self, pending: &Pending) -> Option<&N> {
        self.get(pending.namespace())
    }

    /// Same as [`Namespaces::get`], but mutable.
    #[must_use]
    pub fn get_mut(&mut self, name: &str) -> Option<&mut N> {
        self.0.get_mut(name)
    }

    /// All namespaces, ordered by name.
    pub fn iter(&self) -> impl Iterator<Item = (&Text, &N)> {
        self.0.iter()
    }

    /// Same as [`Namespaces::iter`], but mutable.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&Text, &mut N)> {
        self.0.iter_mut()
    }
}

/// If several namespaces have the same name, the first one is kept.
impl<N> FromIterator<(Text, N)> for Namespaces<N> {
    fn from_iter<I: IntoIterator<Item = (Text, N)>>(namespaces: I) -> Self {
        let mut all = Self::new();
        for (name, namespace) in namespaces {
            all.insert(name, namespace);
        }
        all
    }
}

impl<N> Default for Namespaces<N> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slash_may_be_left_out_and_the_first_of_a_name_stays() {
        let mut namespaces = Namespaces::new();
        assert_eq!(*namespaces.insert(Namespaces::<u8>::full_name("chat"), 1), 1);
        assert_eq!(*namespaces.insert(Namespaces::<u8>::full_name("/chat"), 2), 1);
        assert_eq!((namespaces.get("/chat"), namespaces.get("chat"), namespaces.get("/")), (Some(&1), None, None));
    }
}
