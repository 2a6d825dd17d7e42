//! Steps of the suite as a client: opening sessions and connecting to namespaces.

use serde_json::Value as Json;

use super::packets::packet_outcome;
use super::{MAIN, Object, Player, StepError, failed, link_transport, revision_of};
use crate::play::client_session::{ClientSession, SessionOptions};
use crate::script::pattern::json_variable;
use crate::script::value::Expression;
use crate::script::{Choice, Step, Term};
use crate::wire::packets::Revision;

impl Player {
    pub(super) async fn open(
        &mut self,
        subject: &str,
        transport: &Expression,
        query: Option<&Expression>,
        headers: &[Expression],
    ) -> Result<(), StepError> {
        let transport = transport.value(&mut self.scope)?.text();
        let mut query =
            query.map(|query| query.value(&mut self.scope)).transpose()?.map(|q| q.text()).unwrap_or_default();
        if !query.split('&').any(|pair| pair.starts_with("EIO=")) {
            let revision = if self.options.endpoint.is_revision_3() { "EIO=3" } else { "EIO=4" };
            query = if query.is_empty() { revision.to_owned() } else { format!("{revision}&{query}") };
        }
        let revision = revision_of(&query);
        let options = SessionOptions { name: subject.to_owned(), query, revision, headers: self.headers(headers)? };
        let timeout = self.options.grace * 4;
        let link_transport = if transport == "polling" { None } else { Some(link_transport(&transport)?) };
        let opening = async {
            match link_transport {
                None => ClientSession::open_polling(&self.context, options).await,
                Some(link_transport) => ClientSession::open_link(&self.context, options, link_transport, timeout).await,
            }
        };
        let session = match tokio::time::timeout(timeout, opening).await {
            Ok(Ok(session)) => session,
            Ok(Err(seen)) => return failed("a session", seen),
            Err(_) => return failed("a session", format!("nothing within {} ms", timeout.as_millis())),
        };
        let prefix = if subject == MAIN { String::new() } else { format!("{subject}.") };
        if let Json::Object(handshake) = &session.handshake {
            for (name, value) in handshake {
                self.scope.set(&format!("{prefix}{name}"), json_variable(value));
            }
        }
        self.insert(subject, Object::ClientSession(Box::new(session)));
        Ok(())
    }

    pub(super) async fn connect(
        &mut self,
        step: &Step,
        subject: &str,
        namespace: Option<&Expression>,
        auth: Option<&Expression>,
    ) -> Result<(), StepError> {
        let namespace = self.text_or(namespace, "/")?;
        let auth = self.text_or(auth, "")?;
        let window = self.window(step)?;
        let three = self.client_session(Some(subject))?.revision() == Revision::Three;
        // In revision 3, every session is connected to the main namespace without a request.
        if !(three && namespace == "/") {
            let connect = self.packet(0, &namespace, "", &auth)?;
            self.send(subject, vec![connect]).await?;
        }
        let reply = if three {
            // There is no payload, so the comma after the namespace is optional.
            let bare = format!("40{namespace}").trim_end_matches('/').to_owned();
            Term(vec![Choice(vec![packet_outcome(&format!("{bare},")), packet_outcome(&bare)])])
        } else {
            self.packet_term(0, &namespace, "", r#"{"sid":*id,...}"#)
        };
        let greeting = self.packet_term(2, &namespace, "", r#"["auth",...]"#);
        let before = self.scope.get("id").ok().cloned();
        self.expect(subject, false, &[reply, greeting], window).await?;
        if subject != MAIN
            && let Ok(id) = self.scope.get("id").cloned()
        {
            self.scope.set(&format!("{subject}.id"), id);
            if let Some(before) = before {
                self.scope.set("id", before);
            }
        }
        Ok(())
    }
}
