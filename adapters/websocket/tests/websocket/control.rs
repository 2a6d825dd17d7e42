//! Pings, pongs, and the rules for all control frames.

use engineio_websocket::{Error, Event};

use crate::common::{CLOSE, FIN, PING, PONG, client, frame, header, server, server_frame};

#[test]
fn pings_and_pongs_carry_up_to_125_bytes() {
    for length in [0, 1, 125] {
        let payload = vec![b'p'; length];
        let ping = Event::Ping(payload.clone().into());
        let pong = Event::Pong(payload.clone().into());
        let frames = [frame(FIN | PING, &payload), frame(FIN | PONG, &payload)].concat();
        assert_eq!(server(&frames), (vec![ping.clone(), pong.clone()], Ok(())));
        let frames = [server_frame(FIN | PING, &payload), server_frame(FIN | PONG, &payload)].concat();
        assert_eq!(client(&frames), (vec![ping, pong], Ok(())));
    }
}

#[test]
fn longer_control_frames_are_refused_on_the_length() {
    for code in [CLOSE, PING, PONG] {
        for length in [126, 70_000] {
            let header = header(FIN | code, 0x80, length);
            assert_eq!(server(&header[..2]), (vec![], Err(Error::ControlTooLong)));
        }
    }
}

#[test]
fn control_frames_in_pieces_are_refused() {
    for code in [CLOSE, PING, PONG] {
        assert_eq!(server(&frame(code, b"")), (vec![], Err(Error::ControlFragmented)));
    }
}
