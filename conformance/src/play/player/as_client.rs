//! Steps of the suite as a client: opening sessions and connecting to namespaces.

use serde_json::Value as Json;

use super::packets::packet_outcome;
use super::{MAIN, Object, Player, Trouble, carrier, failed, revision_of};
use crate::play::visit::{Visit, Wish};
use crate::script::pattern::remembered;
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
    ) -> Result<(), Trouble> {
        let transport = transport.value(&mut self.scope)?.text();
        let mut query =
            query.map(|query| query.value(&mut self.scope)).transpose()?.map(|q| q.text()).unwrap_or_default();
        if !query.split('&').any(|pair| pair.starts_with("EIO=")) {
            let revision = if self.setting.endpoint.is_revision_3() { "EIO=3" } else { "EIO=4" };
            query = if query.is_empty() { revision.to_owned() } else { format!("{revision}&{query}") };
        }
        let revision = revision_of(&query);
        let wish = Wish { name: subject.to_owned(), query, revision, headers: self.headers(headers)? };
        let patience = self.setting.grace * 4;
        let carrier = if transport == "polling" { None } else { Some(carrier(&transport)?) };
        let opening = async {
            match carrier {
                None => Visit::polling(&self.context, wish).await,
                Some(carrier) => Visit::by_link(&self.context, wish, carrier, patience).await,
            }
        };
        let visit = match tokio::time::timeout(patience, opening).await {
            Ok(Ok(visit)) => visit,
            Ok(Err(seen)) => return failed("a session", seen),
            Err(_) => return failed("a session", format!("nothing within {} ms", patience.as_millis())),
        };
        let prefix = if subject == MAIN { String::new() } else { format!("{subject}.") };
        if let Json::Object(handshake) = &visit.handshake {
            for (name, value) in handshake {
                self.scope.set(&format!("{prefix}{name}"), remembered(value));
            }
        }
        self.started(subject, Object::Visit(Box::new(visit)));
        Ok(())
    }

    pub(super) async fn connect(
        &mut self,
        step: &Step,
        subject: &str,
        namespace: Option<&Expression>,
        auth: Option<&Expression>,
    ) -> Result<(), Trouble> {
        let namespace = self.text_or(namespace, "/")?;
        let auth = self.text_or(auth, "")?;
        let window = self.window(step)?;
        let three = self.visit(Some(subject))?.revision() == Revision::Three;
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
