//! Parent namespaces: rules by which requests of clients create namespaces.

use std::sync::Arc;
use std::sync::OnceLock;
use std::task::Context;

use engineio_proto::Text;
use futures_util::FutureExt as _;
use socketio_proto::server::{Namespaces, ParentId};
use socketio_proto::{Parser, Payload, Pending};

use super::application::{Joining, SocketIo, Stage};
use super::registry::{Role, Visit};
use super::state::{ConnectRequest, Handlers, MiddlewareResult, NamespaceInner, Refusal};
use crate::extensions::Extensions;
use crate::extract::HandlerInput;
use crate::handler::{Ended, Handler, Outcome, Started, run};
use crate::turn::Core;

/// The rule of a parent namespace.
pub(crate) enum Rule<P: Parser> {
    /// A pattern of names.
    Matches(Box<dyn Fn(&str) -> bool + Send + Sync>),
    /// A function that decides on each request, now or later.
    Asks(Box<Ask<P>>),
}

type Ask<P> = dyn Fn(ConnectRequest<P>) -> Started<MiddlewareResult> + Send + Sync;

impl Outcome<Self> for bool {
    fn into_outcome(self) -> Self {
        self
    }
}

impl<P: Parser> Rule<P> {
    pub(crate) fn asks<M>(function: impl Handler<(ConnectRequest<P>,), bool, M>) -> Self {
        Self::Asks(Box::new(move |request| match function.start(&mut HandlerInput::new((request,))) {
            Started::Done(allowed) => Started::Done(decision(allowed)),
            Started::Waits(future) => Started::Waits(future.map(decision).boxed()),
            Started::NotStarted(error) => Started::NotStarted(error),
        }))
    }

    fn start(&self, request: ConnectRequest<P>) -> Started<MiddlewareResult> {
        match self {
            Self::Matches(matches) => Started::Done(decision(matches(&request.namespace))),
            Self::Asks(ask) => ask(request),
        }
    }
}

/// The same type as the decision of a middleware, because both wait in the same set. The refusal of a parent is never sent: the next
/// parent is asked.
fn decision(allowed: bool) -> MiddlewareResult {
    if allowed { Ok(()) } else { Err(Refusal::new("")) }
}

impl<P: Parser> SocketIo<P> {
    /// The namespace of this name. Creates it if it does not exist: as a child if its name matches the pattern of a parent.
    pub(crate) fn of(&self, name: &str) -> Arc<NamespaceInner<P>> {
        let name = Namespaces::<()>::full_name(name);
        if let Some(namespace) = self.registry.get(&name) {
            return namespace;
        }
        // No lock is held here, because cloning and dropping the parser runs application code. If another task has inserted the
        // namespace meanwhile, its namespace is kept.
        if let Some((id, parent)) = self.registry.parent_of(&name)
            && let Ok(child) = self.registry.insert_child(id, self.make_child(name.clone(), &parent))
        {
            return child;
        }
        self.registry.insert(self.make(name))
    }

    /// Adds a parent. Returns its namespace.
    pub(crate) fn add_parent(&self, rule: Rule<P>) -> Arc<NamespaceInner<P>> {
        let id = self.registry.reserve_parent();
        let role = Role::Parent { registry: Arc::downgrade(&self.registry), id, rule };
        let handlers = Arc::new(Handlers::new());
        let parent = Arc::new(self.make(Text::from(id.to_string())).with_role(role, handlers));
        self.registry.add_parent(id, Arc::clone(&parent));
        parent
    }

    fn make_child(&self, name: Text, parent: &NamespaceInner<P>) -> NamespaceInner<P> {
        let role = Role::Child { registry: Arc::downgrade(&self.registry), id: OnceLock::new() };
        self.make(name).with_role(role, parent.handlers())
    }

    /// Asks the parents after this one whether a client's request may create its namespace.
    pub(super) fn ask_parents(
        &self,
        core: &mut Core<'_, Self>,
        cx: &mut Context<'_>,
        mut pending: Pending,
        mut after: Option<ParentId>,
    ) {
        while let Some((id, parent)) = self.registry.parent_after(after) {
            after = Some(id);
            let Role::Parent { rule, .. } = &parent.role else { continue };
            let extensions = Arc::<Extensions>::default();
            let request = ConnectRequest {
                peer: Arc::clone(core.peer),
                namespace: pending.namespace().clone(),
                auth: pending.auth().cloned(),
                extensions: Arc::clone(&extensions),
                states: Arc::clone(&self.states),
            };
            let ended = run(cx, || rule.start(request));
            let joining = Joining {
                pending,
                handlers: parent.handlers(),
                namespace: parent,
                visit: Visit::none(),
                stage: Stage::Asking(id),
                passed: 0,
                extensions: Some(extensions),
            };
            match ended {
                Ok(Ended::Returned(Err(_))) => pending = joining.pending,
                Ok(ended) => return self.decided(core, cx, joining, ended),
                Err(future) => {
                    let bytes = joining.pending.auth().map_or(0, Payload::size);
                    return core.local.joining.add(joining, bytes, future);
                }
            }
        }
        let (session, namespace) = (core.peer.sid(), &**pending.namespace());
        core.counters.connects_refused.add(1);
        tracing::debug!(%session, namespace, "a client requested an unknown namespace");
        core.machine.refuse_unknown(core.now, pending);
    }

    /// The parent of a request has agreed: its namespace is created, unless another request has done so meanwhile.
    pub(super) fn agreed(
        &self,
        core: &mut Core<'_, Self>,
        cx: &mut Context<'_>,
        joining: Joining<P>,
        parent: ParentId,
    ) {
        // A copy, because the name in the request shares the memory of the whole packet.
        let name = Text::from(&**joining.pending.namespace());
        let entered = self.registry.enter(&name);
        let entered =
            entered.map_or_else(|| self.registry.enter_child(parent, self.make_child(name, &joining.namespace)), Ok);
        let Joining { pending, extensions, .. } = joining;
        match entered {
            Ok(entered) => self.entered(core, cx, pending, entered, extensions),
            Err(_) => {
                self.alarm.counters.connects_refused.add(1);
                core.machine.refuse_unknown(core.now, pending);
            }
        }
    }

    /// A request has entered an existing namespace: its middleware runs next.
    pub(super) fn entered(
        &self,
        core: &mut Core<'_, Self>,
        cx: &mut Context<'_>,
        pending: Pending,
        (namespace, visit): (Arc<NamespaceInner<P>>, Visit<P>),
        extensions: Option<Arc<Extensions>>,
    ) {
        // In this order: once the latch is open, the handlers are complete.
        let waits = namespace.latch.wait();
        let handlers = namespace.handlers();
        let joining = Joining { pending, namespace, handlers, visit, stage: Stage::Middleware, passed: 0, extensions };
        match waits {
            None => self.run_middleware(core, cx, joining),
            Some(open) => {
                let bytes = joining.pending.auth().map_or(0, Payload::size);
                let joining = Joining { stage: Stage::Creating, ..joining };
                core.local.joining.add(joining, bytes, open.map(|_| Ok(())).boxed());
            }
        }
    }

    /// The namespace of a request is complete: its middleware runs next.
    pub(super) fn created(&self, core: &mut Core<'_, Self>, cx: &mut Context<'_>, joining: Joining<P>) {
        let handlers = joining.namespace.handlers();
        self.run_middleware(core, cx, Joining { handlers, stage: Stage::Middleware, ..joining });
    }
}
