//! The table of a server's namespaces: which ones exist, which ones clients create, and who is told about a new one.
//!
//! The table is a [`Namespaces`] behind a lock. Creating a namespace clones the parser, and new namespaces are announced to the
//! application, so both happen without the lock.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};

use engineio_proto::{Instant, Text};
use futures_channel::oneshot;
use socketio_proto::server::{ChildId, Entered, Namespaces, NoChild, ParentId, Target};
use socketio_proto::{Config, Parser};

use super::parents::Rule;
use super::state::{Namespace, NamespaceInner};
use crate::handler::panic_message;
use crate::log_limit::{Occurrences, log_limited, truncate};
use crate::sync::lock;

type NewNamespace<P> = Arc<dyn Fn(Namespace<P>) + Send + Sync>;

/// The namespaces of a server.
pub(crate) struct Registry<P: Parser> {
    table: Mutex<Namespaces<Arc<NamespaceInner<P>>>>,
    /// The handlers of new namespaces.
    observers: Mutex<Vec<NewNamespace<P>>>,
    panicked: Occurrences,
    too_many: Occurrences,
}

/// How a namespace came to be.
pub(crate) enum Role<P: Parser> {
    /// The application has created it.
    Static,
    /// A client's request has created it, or its name matches the pattern of a parent.
    Child {
        registry: Weak<Registry<P>>,
        /// Known once a client has entered.
        id: OnceLock<ChildId>,
    },
    /// It decides on the names of its children. No client can join it.
    Parent { registry: Weak<Registry<P>>, id: ParentId, rule: Rule<P> },
}

/// Closed while the handlers of `on_new_namespace` run for a namespace. Clients that want to join wait until it is open, because these
/// handlers may add middleware.
#[derive(Default)]
pub(crate) struct Latch {
    closed: AtomicBool,
    waiting: Mutex<Vec<oneshot::Sender<()>>>,
}

impl Latch {
    fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
    }

    fn open(&self) {
        let mut waiting = lock(&self.waiting);
        self.closed.store(false, Ordering::Release);
        let woken = std::mem::take(&mut *waiting);
        drop(waiting);
        // The connection of a receiver may have ended.
        for sender in woken {
            let _ = sender.send(());
        }
    }

    /// `None` if it is open. Otherwise, what to wait for.
    pub(crate) fn wait(&self) -> Option<oneshot::Receiver<()>> {
        if !self.closed.load(Ordering::Acquire) {
            return None;
        }
        let mut waiting = lock(&self.waiting);
        if !self.closed.load(Ordering::Acquire) {
            return None;
        }
        let (sender, receiver) = oneshot::channel();
        waiting.push(sender);
        Some(receiver)
    }
}

/// A request to join a namespace, which keeps a child namespace alive. If it is dropped, the client has left without having joined.
pub(crate) struct Visit<P: Parser>(Option<Arc<NamespaceInner<P>>>);

impl<P: Parser> Visit<P> {
    /// Of no child.
    pub(crate) const fn none() -> Self {
        Self(None)
    }

    fn new(namespace: &Arc<NamespaceInner<P>>) -> Self {
        Self(matches!(namespace.role, Role::Child { .. }).then(|| Arc::clone(namespace)))
    }

    /// The client has joined. Now its socket keeps the namespace alive, until [`NamespaceInner::left`].
    pub(crate) fn keep(mut self) {
        self.0 = None;
    }
}

impl<P: Parser> Drop for Visit<P> {
    fn drop(&mut self) {
        if let Some(namespace) = self.0.take() {
            namespace.left();
        }
    }
}

impl<P: Parser> NamespaceInner<P> {
    /// A client that has entered this namespace has left, or was refused. Removes the namespace if it is an empty child.
    pub(crate) fn left(&self) {
        if let Role::Child { registry, id } = &self.role
            && let (Some(registry), Some(id)) = (registry.upgrade(), id.get())
        {
            let removed = lock(&registry.table).leave(&self.name, *id);
            if removed.is_some() {
                self.keep_nothing();
                tracing::debug!(namespace = &*self.name, "an empty child namespace was removed");
            }
            // Dropped without the lock, because it contains handlers of the application.
            drop(removed);
        }
    }

    /// The children, if this is a parent.
    pub(crate) fn children(&self) -> Option<Vec<Arc<Self>>> {
        let Role::Parent { registry, id, .. } = &self.role else { return None };
        let Some(registry) = registry.upgrade() else { return Some(Vec::new()) };
        let children = lock(&registry.table).children(*id).cloned().collect();
        Some(children)
    }

    /// Whether it was removed from its server.
    pub(crate) fn is_removed(&self) -> bool {
        self.removed.load(Ordering::SeqCst)
    }

    /// Disconnects all sockets of a namespace that was removed from the table. A client that is joining meanwhile sees the mark.
    fn close(&self) {
        self.removed.store(true, Ordering::SeqCst);
        self.disconnect(&Target::everybody());
        self.keep_nothing();
    }
}

impl<P: Parser> Registry<P> {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            table: Mutex::new(Namespaces::with_config(config)),
            observers: Mutex::default(),
            panicked: Occurrences::new(),
            too_many: Occurrences::new(),
        }
    }

    pub(crate) fn get(&self, name: &str) -> Option<Arc<NamespaceInner<P>>> {
        lock(&self.table).get(name).cloned()
    }

    /// All namespaces without the parents.
    pub(crate) fn all(&self) -> Vec<Arc<NamespaceInner<P>>> {
        lock(&self.table).iter().map(|(_, namespace)| Arc::clone(namespace)).collect()
    }

    /// Adds a namespace that the application has asked for. Returns the one that has the name now.
    pub(crate) fn insert(&self, made: NamespaceInner<P>) -> Arc<NamespaceInner<P>> {
        let made = Arc::new(made);
        made.latch.close();
        let inserted = Arc::clone(lock(&self.table).insert(made.name.clone(), Arc::clone(&made)));
        if Arc::ptr_eq(&inserted, &made) {
            // The application has created it, and sees the panic in its log.
            let _ = self.announce(&inserted);
            inserted.latch.open();
        }
        inserted
    }

    /// Same as [`Registry::insert`], for a name that matches the pattern of a parent.
    pub(crate) fn insert_child(
        &self,
        parent: ParentId,
        made: NamespaceInner<P>,
    ) -> Result<Arc<NamespaceInner<P>>, NoChild> {
        let made = Arc::new(made);
        made.latch.close();
        let inserted = lock(&self.table).insert_child(&made.name, parent, Arc::clone(&made)).cloned()?;
        if Arc::ptr_eq(&inserted, &made) {
            // The application has created it, and sees the panic in its log.
            let _ = self.announce(&inserted);
            inserted.latch.open();
        }
        Ok(inserted)
    }

    /// A client requests to join this namespace.
    pub(crate) fn enter(&self, name: &str) -> Option<(Arc<NamespaceInner<P>>, Visit<P>)> {
        let mut table = lock(&self.table);
        let Entered { namespace, child, .. } = table.enter(name)?;
        let namespace = Arc::clone(namespace);
        drop(table);
        Some(entered(namespace, child))
    }

    /// A parent has agreed that a client joins this namespace, which did not exist when it was asked.
    pub(crate) fn enter_child(
        &self,
        parent: ParentId,
        made: NamespaceInner<P>,
    ) -> Result<(Arc<NamespaceInner<P>>, Visit<P>), NoChild> {
        let made = Arc::new(made);
        made.latch.close();
        let mut table = lock(&self.table);
        let (namespace, child, is_new) = match table.enter_child(&made.name, parent, Arc::clone(&made)) {
            Ok(Entered { namespace, child, is_new, .. }) => (Arc::clone(namespace), child, is_new),
            Err(error) => {
                drop(table);
                if error == NoChild::TooMany {
                    log_limited!(self.too_many, warn, namespace = &*made.name, %error, "a client was refused");
                }
                return Err(error);
            }
        };
        drop(table);
        let entered = entered(namespace, child);
        if is_new {
            tracing::debug!(namespace = &*made.name, "a child namespace was created");
            if !self.announce(&entered.0) {
                // The handler that failed may have been about to add middleware. Clients that wait see the mark.
                self.remove(&entered.0.name);
            }
            entered.0.latch.open();
        }
        Ok(entered)
    }

    /// Tells the application about a new namespace, whose latch is opened afterwards. Returns false if a handler has panicked.
    fn announce(&self, namespace: &Arc<NamespaceInner<P>>) -> bool {
        let observers = if &*namespace.name == "/" { Vec::new() } else { lock(&self.observers).clone() };
        observers.iter().all(|observer| {
            let told = catch_unwind(AssertUnwindSafe(|| observer(Namespace(Arc::clone(namespace)))));
            if let Err(panic) = &told {
                let (panic, namespace) = (panic_message(panic.as_ref()), &*namespace.name);
                let panic = truncate(&panic);
                log_limited!(self.panicked, error, namespace, handler = "new_namespace", panic, "a handler panicked");
            }
            told.is_ok()
        })
    }

    /// Adds a handler of new namespaces.
    pub(crate) fn observe(&self, observer: NewNamespace<P>) {
        lock(&self.observers).push(observer);
    }

    /// Removes a namespace or a parent, and disconnects its sockets. Returns whether it existed.
    pub(crate) fn remove(&self, name: &str) -> bool {
        let removed = lock(&self.table).remove(name);
        if let Some(namespace) = &removed {
            namespace.close();
            return true;
        }
        let mut after = None;
        while let Some((id, parent)) = self.parent_after(after) {
            if *parent.name == *name {
                let removed = lock(&self.table).remove_parent(id);
                return removed.is_some();
            }
            after = Some(id);
        }
        false
    }

    pub(crate) fn reserve_parent(&self) -> ParentId {
        lock(&self.table).reserve_parent()
    }

    pub(crate) fn add_parent(&self, id: ParentId, parent: Arc<NamespaceInner<P>>) {
        lock(&self.table).add_parent(id, parent);
    }

    pub(crate) fn parent_after(&self, id: Option<ParentId>) -> Option<(ParentId, Arc<NamespaceInner<P>>)> {
        lock(&self.table).parent_after(id).map(|(id, parent)| (id, Arc::clone(parent)))
    }

    /// The first parent whose pattern matches this name.
    pub(crate) fn parent_of(&self, name: &Text) -> Option<(ParentId, Arc<NamespaceInner<P>>)> {
        let mut after = None;
        while let Some((id, parent)) = self.parent_after(after) {
            if let Role::Parent { rule: Rule::Matches(matches), .. } = &parent.role
                && matches(name)
            {
                return Some((id, parent));
            }
            after = Some(id);
        }
        None
    }

    pub(crate) fn handle_timeout(&self, now: Instant) {
        for namespace in self.all() {
            namespace.handle_timeout(now);
        }
    }
}

fn entered<P: Parser>(namespace: Arc<NamespaceInner<P>>, child: Option<ChildId>) -> (Arc<NamespaceInner<P>>, Visit<P>) {
    if let (Role::Child { id, .. }, Some(child)) = (&namespace.role, child) {
        id.get_or_init(|| child);
    }
    let visit = Visit::new(&namespace);
    (namespace, visit)
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Wake, Waker};

    use futures_util::FutureExt as _;
    use socketio_proto::Json;

    use super::super::state::{Emits, Handlers};
    use super::*;
    use crate::timers::Alarm;

    /// A client that waits for the namespace: what it sees when it is woken.
    struct Waits {
        namespace: Arc<NamespaceInner<Json>>,
        removed: Mutex<Vec<bool>>,
    }

    impl Wake for Waits {
        fn wake(self: Arc<Self>) {
            lock(&self.removed).push(self.namespace.is_removed());
        }
    }

    #[test]
    fn who_waits_for_the_handlers_of_a_new_namespace_goes_on_after_a_failed_one_was_removed() {
        let registry = Arc::new(Registry::<Json>::new(&Config::default()));
        let alarm = Arc::new(Alarm::new(Arc::default(), Arc::default()));
        let make = |name: &str, role| {
            NamespaceInner::new(name.into(), Json, 10, Emits::Direct, Arc::clone(&alarm))
                .with_role(role, Arc::new(Handlers::new()))
        };
        let id = registry.reserve_parent();
        let rule = Rule::Matches(Box::new(|_| true));
        registry.add_parent(id, Arc::new(make("/_0", Role::Parent { registry: Arc::downgrade(&registry), id, rule })));
        let waiting = Arc::new(Mutex::new(None));
        let waits = Arc::clone(&waiting);
        registry.observe(Arc::new(move |namespace: Namespace<Json>| {
            let mut receiver = namespace.0.latch.wait().expect("it is closed");
            let client = Arc::new(Waits { namespace: namespace.0, removed: Mutex::default() });
            let waker = Waker::from(Arc::clone(&client));
            assert!(receiver.poll_unpin(&mut Context::from_waker(&waker)).is_pending());
            *lock(&waits) = Some((receiver, client));
            panic!("as planned");
        }));
        let role = Role::Child { registry: Arc::downgrade(&registry), id: OnceLock::new() };
        let (namespace, visit) = registry.enter_child(id, make("/x", role)).unwrap();
        drop(visit);
        let (_, client) = lock(&waiting).take().unwrap();
        assert_eq!(*lock(&client.removed), [true]);
        assert!(namespace.latch.wait().is_none() && registry.get("/x").is_none());
    }
}
