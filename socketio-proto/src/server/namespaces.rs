//! The namespaces of a server, by name: those that the application has created, and those that a client's request creates.
//!
//! The second kind are the children of a *parent namespace*. A parent is a rule of the application: a pattern of names, or a function
//! that may need time. A child has the handlers of its parent. This table decides which parents are asked and in which order, that a
//! name has one namespace however many clients request it at the same time, and when an empty child is removed. The adapter asks the
//! parents, because that is code of the application.
//!
//! Source: socket.io `lib/index.ts` (`of`, `_checkNamespace`), `lib/client.ts` (`connect`), `lib/parent-namespace.ts`.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use core::fmt;
use core::ops::Bound;

use engineio_proto::Text;

use crate::config::Config;
use crate::event::Pending;

/// The namespaces of a server, by name. `N` is what the adapter stores for each of them: a [`Namespace`](super::Namespace), or
/// one behind a lock.
///
/// A request to join goes through these steps:
///
/// 1. [`Namespaces::enter`]. If the namespace exists, its middleware decides next.
/// 2. Otherwise ask the parents, in the order of [`Namespaces::parent_after`]. If one of them agrees, call
///    [`Namespaces::enter_child`].
/// 3. If none agrees, call [`Connection::refuse_unknown`](super::Connection::refuse_unknown).
///
/// The client counts as a user of a child from the moment of its request, so no child is removed while its middleware waits. Call
/// [`Namespaces::leave`] once for each request that has entered a child: when it was refused, when its connection has ended before the
/// decision, or when its socket has left.
///
/// A server without parents needs only [`Namespaces::requested`].
#[derive(Clone, Debug)]
pub struct Namespaces<N> {
    namespaces: BTreeMap<Text, Entry<N>>,
    parents: BTreeMap<ParentId, Parent<N>>,
    last_parent: u32,
    last_child: u64,
    /// Number of children of all parents.
    children: usize,
    max_children: usize,
    removes_empty: bool,
}

/// Identifies a parent namespace. Ids grow in the order in which parents are added, and are never reused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct ParentId(u32);

/// Identifies a child namespace. A child that is created again after it was removed has another id.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ChildId(u64);

/// Writes the name of the parent, as in the reference: `/_0`. No client can join it.
impl fmt::Display for ParentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/_{}", self.0)
    }
}

#[derive(Clone, Debug)]
struct Entry<N> {
    namespace: N,
    child: Option<Child>,
}

#[derive(Clone, Debug)]
struct Child {
    id: ChildId,
    parent: ParentId,
    /// Number of requests and sockets that have entered and not left.
    users: usize,
}

#[derive(Clone, Debug)]
struct Parent<N> {
    namespace: N,
    children: BTreeSet<Text>,
}

/// A namespace that a request has entered.
#[derive(Debug)]
#[non_exhaustive]
pub struct Entered<'a, N> {
    /// The namespace.
    pub namespace: &'a N,
    /// Present if it is a child. [`Namespaces::leave`] needs it.
    pub child: Option<ChildId>,
    /// Whether this call has created it.
    pub is_new: bool,
}

/// Why a child was not created. In both cases, refuse the client with
/// [`Connection::refuse_unknown`](super::Connection::refuse_unknown).
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NoChild {
    /// [`Config::max_child_namespaces`] is reached.
    #[error("there are too many child namespaces: raise max_child_namespaces, or set cleanup_empty_child_namespaces")]
    TooMany,
    /// The parent was removed.
    #[error("the parent namespace was removed")]
    NoParent,
}

impl<N> Namespaces<N> {
    /// Creates an empty table. Add `/` to it: the reference lets every client join `/`, even if the application does not use
    /// it.
    #[must_use]
    pub fn new() -> Self {
        Self::with_config(&Config::default())
    }

    /// Creates an empty table with the settings for children: [`Config::cleanup_empty_child_namespaces`] and
    /// [`Config::max_child_namespaces`].
    #[must_use]
    pub const fn with_config(config: &Config) -> Self {
        Self {
            namespaces: BTreeMap::new(),
            parents: BTreeMap::new(),
            last_parent: 0,
            last_child: 0,
            children: 0,
            max_children: config.max_child_namespaces,
            removes_empty: config.cleanup_empty_child_namespaces,
        }
    }

    /// The full name of a namespace. Adds the leading `/` if it is missing.
    #[must_use]
    pub fn full_name(name: &str) -> Text {
        if name.starts_with('/') { name.into() } else { Text::from(String::from("/") + name) }
    }

    /// Adds a namespace, unless one of this name exists. Returns the namespace that has the name now.
    pub fn insert(&mut self, name: Text, namespace: N) -> &mut N {
        &mut self.namespaces.entry(name).or_insert(Entry { namespace, child: None }).namespace
    }

    /// The namespace with this full name. Does not find parents.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&N> {
        self.namespaces.get(name).map(|entry| &entry.namespace)
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
        self.namespaces.get_mut(name).map(|entry| &mut entry.namespace)
    }

    /// All namespaces without the parents, ordered by name.
    pub fn iter(&self) -> impl Iterator<Item = (&Text, &N)> {
        self.namespaces.iter().map(|(name, entry)| (name, &entry.namespace))
    }

    /// Same as [`Namespaces::iter`], but mutable.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&Text, &mut N)> {
        self.namespaces.iter_mut().map(|(name, entry)| (name, &mut entry.namespace))
    }

    /// Removes a namespace. The adapter then disconnects its sockets. Their [`Namespaces::leave`] does nothing, also if a namespace of
    /// the same name is created meanwhile.
    pub fn remove(&mut self, name: &str) -> Option<N> {
        let (name, entry) = self.namespaces.remove_entry(name)?;
        if let Some(child) = entry.child {
            self.children = self.children.saturating_sub(1);
            if let Some(parent) = self.parents.get_mut(&child.parent) {
                parent.children.remove(&name);
            }
        }
        Some(entry.namespace)
    }

    /// The id of a new parent. Add the parent with [`Namespaces::add_parent`]. No other parent has this id.
    pub const fn reserve_parent(&mut self) -> ParentId {
        let id = ParentId(self.last_parent);
        self.last_parent = self.last_parent.saturating_add(1);
        id
    }

    /// Adds a parent. It is asked after all parents with smaller ids.
    pub fn add_parent(&mut self, id: ParentId, namespace: N) {
        self.parents.insert(id, Parent { namespace, children: BTreeSet::new() });
    }

    /// The parent with the smallest id, or the next one after `id`. While one is asked, others can be added and removed.
    #[must_use]
    pub fn parent_after(&self, id: Option<ParentId>) -> Option<(ParentId, &N)> {
        let after = id.map_or(Bound::Unbounded, Bound::Excluded);
        self.parents.range((after, Bound::Unbounded)).next().map(|(&id, parent)| (id, &parent.namespace))
    }

    /// Removes a parent. It is not asked any more. Its children stay.
    pub fn remove_parent(&mut self, id: ParentId) -> Option<N> {
        self.parents.remove(&id).map(|parent| parent.namespace)
    }

    /// The children of a parent, ordered by name.
    pub fn children(&self, parent: ParentId) -> impl Iterator<Item = &N> {
        let children = self.parents.get(&parent).into_iter().flat_map(|parent| &parent.children);
        children.filter_map(|name| self.get(name))
    }

    /// A client requests to join the namespace with this full name. If it is a child, the client is one of its users until
    /// [`Namespaces::leave`].
    pub fn enter(&mut self, name: &str) -> Option<Entered<'_, N>> {
        self.namespaces.get_mut(name).map(|entry| entry.enter(false))
    }

    /// A parent has agreed to a request that [`Namespaces::enter`] did not find. Adds the child, and enters it. If the name has a
    /// namespace by now, because another client has requested it too, enters that one and drops `namespace`.
    ///
    /// # Errors
    /// If the namespace does not exist and may not be created; see [`NoChild`].
    pub fn enter_child(&mut self, name: &Text, parent: ParentId, namespace: N) -> Result<Entered<'_, N>, NoChild> {
        let is_new = !self.namespaces.contains_key(name);
        if is_new {
            self.insert_child(name, parent, namespace)?;
        }
        self.namespaces.get_mut(name).map(|entry| entry.enter(is_new)).ok_or(NoChild::NoParent)
    }

    /// Adds a child that no client has requested, unless a namespace of this name exists. It is removed only after a client has entered
    /// and left it. Returns the namespace that has the name now.
    ///
    /// # Errors
    /// If the namespace does not exist and may not be created; see [`NoChild`].
    pub fn insert_child(&mut self, name: &Text, parent: ParentId, namespace: N) -> Result<&N, NoChild> {
        if !self.namespaces.contains_key(name) {
            if self.children >= self.max_children {
                return Err(NoChild::TooMany);
            }
            self.parents.get_mut(&parent).ok_or(NoChild::NoParent)?.children.insert(name.clone());
            self.children = self.children.saturating_add(1);
            self.last_child = self.last_child.saturating_add(1);
            let child = Child { id: ChildId(self.last_child), parent, users: 0 };
            self.namespaces.insert(name.clone(), Entry { namespace, child: Some(child) });
        }
        self.get(name).ok_or(NoChild::NoParent)
    }

    /// A request that has entered a child was refused or dropped, or its socket has left. Returns the child if this was its last user
    /// and empty children are removed ([`Config::cleanup_empty_child_namespaces`]).
    pub fn leave(&mut self, name: &str, child: ChildId) -> Option<N> {
        let left = self.namespaces.get_mut(name)?.child.as_mut().filter(|left| left.id == child)?;
        left.users = left.users.saturating_sub(1);
        if left.users > 0 || !self.removes_empty {
            return None;
        }
        self.remove(name)
    }
}

impl<N> Entry<N> {
    fn enter(&mut self, is_new: bool) -> Entered<'_, N> {
        let child = self.child.as_mut().map(|child| {
            child.users = child.users.saturating_add(1);
            child.id
        });
        Entered { namespace: &self.namespace, child, is_new }
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
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    fn table(removes_empty: bool) -> (Namespaces<u8>, ParentId) {
        let config = Config { cleanup_empty_child_namespaces: removes_empty, ..Config::default() };
        let mut namespaces = Namespaces::with_config(&config);
        let parent = namespaces.reserve_parent();
        namespaces.add_parent(parent, 100);
        (namespaces, parent)
    }

    fn names(namespaces: &Namespaces<u8>) -> Vec<&str> {
        namespaces.iter().map(|(name, _)| &**name).collect()
    }

    #[test]
    fn the_slash_may_be_left_out_and_the_first_of_a_name_stays() {
        let mut namespaces = Namespaces::new();
        assert_eq!(*namespaces.insert(Namespaces::<u8>::full_name("chat"), 1), 1);
        assert_eq!(*namespaces.insert(Namespaces::<u8>::full_name("/chat"), 2), 1);
        assert_eq!((namespaces.get("/chat"), namespaces.get("chat"), namespaces.get("/")), (Some(&1), None, None));
    }

    #[test]
    fn parents_are_asked_in_the_order_in_which_they_were_added() {
        let (mut namespaces, first) = table(false);
        let second = namespaces.reserve_parent();
        assert_eq!(namespaces.parent_after(Some(first)), None, "it is only reserved");
        namespaces.add_parent(second, 101);
        assert_eq!((alloc::format!("{first}"), alloc::format!("{second}")), ("/_0".into(), "/_1".into()));
        assert_eq!(namespaces.parent_after(None), Some((first, &100)));
        assert_eq!(namespaces.parent_after(Some(first)), Some((second, &101)));
        assert_eq!(namespaces.parent_after(Some(second)), None);
        assert_eq!(namespaces.remove_parent(first), Some(100));
        assert_eq!(namespaces.parent_after(None), Some((second, &101)));
        assert_eq!((namespaces.get("/_1"), names(&namespaces).len()), (None, 0), "a client cannot join a parent");
    }

    #[test]
    fn two_requests_for_one_name_create_one_child() {
        let (mut namespaces, parent) = table(false);
        let name = Text::from("/a");
        assert!(namespaces.enter(&name).is_none());
        let first = namespaces.enter_child(&name, parent, 1).unwrap();
        assert_eq!((*first.namespace, first.is_new), (1, true));
        let child = first.child;
        let second = namespaces.enter_child(&name, parent, 2).unwrap();
        assert_eq!((*second.namespace, second.is_new, second.child), (1, false, child));
        let third = namespaces.enter(&name).unwrap();
        assert_eq!((*third.namespace, third.is_new, third.child), (1, false, child));
        assert_eq!(namespaces.children(parent).collect::<Vec<_>>(), [&1]);
    }

    #[test]
    fn an_empty_child_is_removed_after_its_last_user_if_the_option_says_so() {
        for removes_empty in [false, true] {
            let (mut namespaces, parent) = table(removes_empty);
            let name = Text::from("/a");
            let child = namespaces.enter_child(&name, parent, 1).unwrap().child.unwrap();
            namespaces.enter(&name).unwrap();
            assert_eq!(namespaces.leave(&name, child), None, "one request still waits");
            assert_eq!(namespaces.leave(&name, child), removes_empty.then_some(1));
            assert_eq!(namespaces.get(&name).is_none(), removes_empty);
            let again = namespaces.enter_child(&name, parent, 2).unwrap();
            assert_eq!((*again.namespace, again.is_new), (if removes_empty { 2 } else { 1 }, removes_empty));
        }
    }

    #[test]
    fn a_child_of_the_application_stays_until_a_client_has_left_it() {
        let (mut namespaces, parent) = table(true);
        let name = Text::from("/a");
        assert_eq!(namespaces.insert_child(&name, parent, 1), Ok(&1));
        assert_eq!(namespaces.insert_child(&name, parent, 2), Ok(&1));
        let child = namespaces.enter(&name).unwrap().child.unwrap();
        assert_eq!(namespaces.leave(&name, child), Some(1));
        assert!(namespaces.enter(&name).is_none());
    }

    #[test]
    fn a_static_namespace_is_never_removed_because_it_is_empty() {
        let (mut namespaces, parent) = table(true);
        let name = Text::from("/a");
        namespaces.insert(name.clone(), 1);
        let entered = namespaces.enter_child(&name, parent, 2).unwrap();
        assert_eq!((*entered.namespace, entered.child), (1, None));
        assert_eq!(namespaces.leave(&name, ChildId(0)), None);
        assert_eq!(namespaces.children(parent).count(), 0);
    }

    #[test]
    fn users_of_a_removed_child_do_not_count_for_its_successor() {
        let (mut namespaces, parent) = table(true);
        let name = Text::from("/a");
        let old = namespaces.enter_child(&name, parent, 1).unwrap().child.unwrap();
        assert_eq!(namespaces.remove(&name), Some(1));
        assert_eq!((namespaces.remove(&name), namespaces.children(parent).count()), (None, 0));
        let new = namespaces.enter_child(&name, parent, 2).unwrap().child.unwrap();
        assert_eq!(namespaces.leave(&name, old), None);
        assert_eq!(namespaces.get(&name), Some(&2));
        assert_eq!(namespaces.leave(&name, new), Some(2));
    }

    #[test]
    fn children_have_a_limit_and_need_their_parent() {
        let (mut namespaces, parent) = table(true);
        namespaces.max_children = 1;
        let (a, b) = (Text::from("/a"), Text::from("/b"));
        let child = namespaces.enter_child(&a, parent, 1).unwrap().child.unwrap();
        assert_eq!(namespaces.enter_child(&b, parent, 2).err(), Some(NoChild::TooMany));
        assert!(namespaces.enter_child(&a, parent, 2).is_ok(), "it exists");
        namespaces.leave(&a, child);
        assert_eq!(namespaces.leave(&a, child), Some(1));
        assert!(namespaces.enter_child(&b, parent, 2).is_ok());
        namespaces.max_children = 2;
        namespaces.remove_parent(parent);
        assert_eq!(namespaces.enter_child(&a, parent, 1).err(), Some(NoChild::NoParent));
        assert_eq!(names(&namespaces), ["/b"], "the child stays");
        assert_eq!(namespaces.remove("/b"), Some(2));
        assert_eq!(namespaces.children, 0);
    }

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Enter(usize),
        Leave(usize),
        Insert(usize),
        Remove(usize),
    }

    proptest! {
        /// A model counts the users of each child. A child with users stays, and one without users is gone.
        #[test]
        fn no_child_with_users_is_removed_and_none_without_is_kept(
            steps in prop::collection::vec((0..4_u8, 0..3_usize).prop_map(|(kind, name)| match kind {
                0 => Step::Enter(name),
                1 => Step::Leave(name),
                2 => Step::Insert(name),
                _ => Step::Remove(name),
            }), 0..60)
        ) {
            let (mut namespaces, parent) = table(true);
            let names = ["/a", "/b", "/c"].map(Text::from);
            let mut entered: [Vec<ChildId>; 3] = [Vec::new(), Vec::new(), Vec::new()];
            // What was entered in a child that has been removed since.
            let mut stale: [Vec<ChildId>; 3] = [Vec::new(), Vec::new(), Vec::new()];
            let mut unused = [false; 3];
            for (number, step) in (0_u8..).zip(steps) {
                match step {
                    Step::Enter(at) => {
                        let child = match namespaces.enter(&names[at]) {
                            Some(entered) => entered.child,
                            None => namespaces.enter_child(&names[at], parent, number).unwrap().child,
                        };
                        entered[at].push(child.unwrap());
                        unused[at] = false;
                    }
                    Step::Leave(at) => {
                        if let Some(child) = stale[at].pop() {
                            prop_assert_eq!(namespaces.leave(&names[at], child), None);
                        } else if let Some(child) = entered[at].pop() {
                            let removed = namespaces.leave(&names[at], child).is_some();
                            prop_assert_eq!(removed, entered[at].is_empty());
                        }
                    }
                    Step::Insert(at) => {
                        unused[at] |= namespaces.get(&names[at]).is_none();
                        namespaces.insert_child(&names[at], parent, number).unwrap();
                    }
                    Step::Remove(at) => {
                        namespaces.remove(&names[at]);
                        unused[at] = false;
                        let left = core::mem::take(&mut entered[at]);
                        stale[at].extend(left);
                    }
                }
                for at in 0..3 {
                    let exists = !entered[at].is_empty() || unused[at];
                    prop_assert_eq!(namespaces.get(&names[at]).is_some(), exists);
                }
                prop_assert_eq!(namespaces.children(parent).count(), namespaces.children);
                prop_assert_eq!(namespaces.iter().count(), namespaces.children);
            }
        }
    }
}
