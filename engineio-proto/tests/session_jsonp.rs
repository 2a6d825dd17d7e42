//! JSONP polling: a session whose handshake has a `j` answers its GETs with scripts, and accepts forms.
//!
//! Source: engine.io `lib/transports/polling-jsonp.ts`.

mod common;

use common::{ID, Peer, quiet, unknown_session};

/// An open JSONP session without a held GET.
fn jsonp(j: &str) -> Peer {
    let mut peer = Peer::accepted(quiet(), &format!("EIO=4&transport=polling&{j}"), false);
    peer.get();
    let said = peer.turn();
    let open = format!(r#"("0{{\"sid\":\"{ID}\",\"upgrades\""#);
    assert!(said.get(1).is_some_and(|line| line.contains(&open) && line.ends_with(");")), "{said:?}");
    peer
}

#[test]
fn replies_are_scripts_that_call_the_handshakes_function() {
    for (j, function) in [("j=0", "0"), ("j=a1b2", "12"), ("j=", ""), ("j", ""), ("j=7&j=8", "8"), ("%6a=3", "3")] {
        let mut peer = jsonp(j);
        peer.send("a\"\u{2028}b");
        peer.send("c");
        let get = peer.get();
        let script = format!("___eio[{function}](\"4a\\\"\\u2028b\\u001e4c\");");
        peer.assert_outputs(&[&format!("reply {get}: 200 {script}")]);
    }
}

#[test]
fn forms_are_accepted_and_other_forms_are_ignored() {
    let mut peer = jsonp("j=1");
    let post = peer.post("d=4a%20b%1E4line%5Cnbreak");
    peer.assert_outputs(&["message a b", "message line\nbreak", &format!("reply {post}: 200 ok")]);
    for form in ["", "e=4a", "d=4a&d=4b"] {
        let post = peer.post(form);
        peer.assert_outputs(&[&format!("reply {post}: 200 ok")]);
    }
    let post = peer.post("d=4still+here");
    peer.assert_outputs(&["message still here", &format!("reply {post}: 200 ok")]);
}

#[test]
fn the_end_of_a_session_is_sent_in_a_script() {
    let mut peer = jsonp("j=1");
    let get = peer.get();
    peer.close();
    peer.assert_outputs(&["closed: forced close", &format!("reply {get}: 200 ___eio[1](\"1\");")]);
    let late = peer.get();
    peer.assert_outputs(&[&unknown_session(late)]);

    let mut peer = jsonp("j=1");
    let get = peer.get();
    let post = peer.post("d=nothing+known");
    let said = peer.turn();
    for reply in [format!("reply {get}: 200 ___eio[1](\"1\");"), format!("reply {post}: 200 ok")] {
        assert!(said.contains(&reply), "{said:?}");
    }
}

#[test]
fn a_form_whose_payload_is_not_utf_8_is_a_parse_error() {
    let mut peer = jsonp("j=1");
    let post = peer.post("d=4%ff");
    let said = peer.turn();
    assert!(said.iter().any(|line| line.starts_with("closed: parse error")), "{said:?}");
    assert!(said.contains(&format!("reply {post}: 200 ok")), "{said:?}");
}

#[test]
fn a_link_is_not_wrapped_and_an_upgrade_from_scripts_works() {
    let mut peer = Peer::over_link(quiet(), "EIO=4&transport=websocket&j=1", engineio_proto::LinkKind::WebSocket);
    peer.send("plain");
    peer.assert_outputs(&["link 1: 4plain"]);

    let mut peer = jsonp("j=1");
    let get = peer.get();
    peer.up(engineio_proto::LinkKind::WebSocket);
    peer.text(1, "2probe");
    peer.assert_outputs(&["link 1: 3probe"]);
    // The GET is released, so that the client can stop polling.
    peer.sleep_until(100);
    peer.assert_outputs(&[&format!("reply {get}: 200 ___eio[1](\"6\");")]);
    peer.text(1, "5");
    peer.send("plain");
    let said = peer.turn();
    assert!(said.contains(&"link 1: 4plain".to_owned()), "{said:?}");
}
