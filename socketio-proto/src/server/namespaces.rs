//! Which namespaces a server has: where a request to join one goes.
//!
//! Source: socket.io `lib/index.ts` (`of`), `lib/client.ts` (`connect`).

use alloc::collections::BTreeMap;
use alloc::string::String;

use engineio_proto::Text;

use crate::event::Pending;

/// The namespaces of a server, by name. `N` is what the adapter has for each: a [`Namespace`](super::Namespace), or one behind a lock.
#[derive(Clone, Debug)]
pub struct Namespaces<N>(BTreeMap<Text, N>);

impl<N> Namespaces<N> {
    /// No namespaces. Add `/`: in the reference everybody may join it, whether or not anything is set up there.
    #[must_use]
    pub const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// The full name: an application may leave out the `/` that it starts with.
    #[must_use]
    pub fn full_name(name: &str) -> Text {
        if name.starts_with('/') { name.into() } else { Text::from(String::from("/") + name) }
    }

    /// Adds a namespace, if there is none of this name yet. Returns the one that has the name now.
    pub fn insert(&mut self, name: Text, namespace: N) -> &mut N {
        self.0.entry(name).or_insert(namespace)
    }

    /// The namespace of this full name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&N> {
        self.0.get(name)
    }

    /// The namespace that a client wants to join. If there is none, refuse the client with
    /// [`Connection::refuse_unknown`](super::Connection::refuse_unknown).
    #[must_use]
    pub fn requested(&self, pending: &Pending) -> Option<&N> {
        self.get(pending.namespace())
    }

    /// As [`Namespaces::get`], to be changed.
    #[must_use]
    pub fn get_mut(&mut self, name: &str) -> Option<&mut N> {
        self.0.get_mut(name)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&Text, &N)> {
        self.0.iter()
    }

    /// All of them, to be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&Text, &mut N)> {
        self.0.iter_mut()
    }
}

/// The first of a name stays.
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
