//! Compression of WebSocket messages (permessage-deflate), if a server has it on and the client has agreed on it. That of polls is in
//! `http/compression`.
//!
//! A compressor takes some 300 KiB, so each thread has one. A message for many peers is compressed once: the result is kept beside the
//! message in a small table of the process. It stays there until later messages take its place: at most 16 messages and 1 MiB.
//!
//! Without the feature `deflate`, nobody can agree on it: [`Compression`] has no values.

#[cfg(not(feature = "deflate"))]
pub(crate) use self::off::{Compression, agreed, compress, negotiate};
#[cfg(feature = "deflate")]
pub(crate) use self::on::{Compression, agreed, compress, negotiate};

#[cfg(feature = "deflate")]
mod on {
    use std::cell::RefCell;
    use std::collections::VecDeque;
    use std::sync::{Arc, Mutex, OnceLock};

    use bytes::Bytes;
    use engineio_proto::Frame;
    use engineio_websocket::Deflater;
    use engineio_websocket::handshake::{Deflate, deflate};
    use http::HeaderValue;
    use http::header::{HeaderMap, HeaderName};

    use crate::sync::lock;

    /// The maximum number of messages whose compressed form is kept.
    const KEPT: usize = 16;

    /// The maximum size of those messages, uncompressed. The latest one is kept whatever its size.
    const KEPT_BYTES: usize = 1024 * 1024;

    thread_local! {
        static DEFLATER: RefCell<Deflater> = RefCell::new(Deflater::new());
    }

    static SHARED: Mutex<Shared> = Mutex::new(Shared { messages: VecDeque::new() });

    /// How to compress the messages to one peer.
    #[derive(Clone, Copy, Debug)]
    pub(crate) struct Compression {
        /// Smaller messages are not compressed. A `u32` in bytes, which fit into a gap of the link.
        threshold: [u8; 4],
        agreed: Deflate,
    }

    impl Compression {
        /// Whether to compress a message of this length.
        #[inline]
        pub(crate) fn takes(self, length: usize) -> bool {
            u32::try_from(length).map_or(true, |length| length >= u32::from_ne_bytes(self.threshold))
                && self.agreed.takes(length)
        }
    }

    /// The compression of a link of a client, if the server has agreed on it.
    pub(crate) fn agreed(agreed: Option<Deflate>, threshold: u32) -> Option<Compression> {
        agreed.map(|agreed| Compression { threshold: threshold.to_ne_bytes(), agreed })
    }

    /// Accepts an offer of a client if compression is on, from this size of messages. Returns also the header of the response.
    pub(crate) fn negotiate(threshold: Option<u32>, headers: &HeaderMap) -> Option<(Compression, HeaderValue)> {
        let threshold = threshold?;
        let fields = headers.iter().map(|(name, value): (&HeaderName, _)| (name.as_str(), value.as_bytes()));
        let agreed = deflate(fields)?;
        let response = HeaderValue::from_str(&agreed.response()).ok()?;
        Some((Compression { threshold: threshold.to_ne_bytes(), agreed }, response))
    }

    /// The compressed payload of a packet, unless it is not smaller than the packet. Only compresses if no other peer has had it compressed
    /// before.
    #[cold]
    pub(crate) fn compress(frame: &Frame) -> Option<Bytes> {
        if frame.data().is_unique() {
            return deflated(frame);
        }
        let mut evicted = Vec::new();
        let payload = lock(&SHARED).payload(frame, &mut evicted);
        drop(evicted);
        // Not under the lock. Another thread that needs the same message waits, instead of doing the same work.
        payload.get_or_init(|| deflated(frame)).clone()
    }

    fn deflated(frame: &Frame) -> Option<Bytes> {
        DEFLATER.with_borrow_mut(|deflater| deflater.deflate(&[frame.head(), frame.data()]))
    }

    /// The compressed form of a message, once it is known. `None` if it is not smaller.
    type Payload = Arc<OnceLock<Option<Bytes>>>;

    /// The messages that other peers may still need.
    struct Shared {
        messages: VecDeque<Message>,
    }

    struct Message {
        head: &'static [u8],
        /// This clone keeps the memory, so no other message can have its address.
        data: Bytes,
        payload: Payload,
    }

    impl Shared {
        /// The place of a message's compressed form.
        /// `evicted` gets the messages that leave the table. Drop it without the lock, because their memory may be the application's.
        fn payload(&mut self, frame: &Frame, evicted: &mut Vec<Message>) -> Payload {
            let (head, data) = (frame.head(), frame.data());
            let is_same = |message: &&Message| {
                message.data.as_ptr() == data.as_ptr() && message.data.len() == data.len() && message.head == head
            };
            if let Some(message) = self.messages.iter().find(is_same) {
                return Arc::clone(&message.payload);
            }
            // Nothing else holds these any more.
            let (unused, used) = self.messages.drain(..).partition(|message| message.data.is_unique());
            self.messages = used;
            evicted.extend(unused);
            let mut bytes =
                self.messages.iter().map(|message| message.data.len()).fold(data.len(), usize::saturating_add);
            while self.messages.len() >= KEPT || bytes > KEPT_BYTES {
                let Some(oldest) = self.messages.pop_front() else { break };
                bytes = bytes.saturating_sub(oldest.data.len());
                evicted.push(oldest);
            }
            let payload = Payload::default();
            self.messages.push_back(Message { head, data: data.clone(), payload: Arc::clone(&payload) });
            payload
        }
    }

    #[cfg(test)]
    mod tests {
        use engineio_proto::Message as Content;

        use super::*;

        fn frame(content: &str) -> Frame {
            Frame::message(Content::from(content.to_owned()))
        }

        #[test]
        fn a_shared_message_has_one_compressed_form() {
            let mut shared = Shared { messages: VecDeque::new() };
            let (frame, other) = (frame(&"a".repeat(2000)), frame(&"a".repeat(2000)));
            let first = shared.payload(&frame, &mut Vec::new());
            assert!(Arc::ptr_eq(&first, &shared.payload(&frame.clone(), &mut Vec::new())));
            assert!(
                !Arc::ptr_eq(&first, &shared.payload(&other, &mut Vec::new())),
                "the same content at another address"
            );
            // The same bytes as binary have no type in front.
            let binary = Frame::message(Content::Binary(frame.data().clone()));
            assert!(!Arc::ptr_eq(&first, &shared.payload(&binary, &mut Vec::new())));
            assert_eq!(shared.messages.len(), 3);
        }

        #[test]
        fn what_nobody_needs_any_more_is_dropped_and_the_rest_is_bounded() {
            let mut shared = Shared { messages: VecDeque::new() };
            let kept: Vec<Frame> = (0..100).map(|_| frame(&"x".repeat(2000))).collect();
            for frame in &kept {
                shared.payload(frame, &mut Vec::new());
            }
            assert_eq!(shared.messages.len(), KEPT);
            drop(kept);
            let large: Vec<Frame> = (0..5).map(|_| frame(&"x".repeat(400_000))).collect();
            for frame in &large {
                shared.payload(frame, &mut Vec::new());
            }
            assert_eq!(shared.messages.len(), 2);
            let huge = frame(&"x".repeat(5_000_000));
            shared.payload(&huge, &mut Vec::new());
            assert_eq!(shared.messages.len(), 1);
        }

        #[test]
        fn only_messages_from_the_threshold_on_and_within_the_reach_are_compressed() {
            let headers = |offer: &'static str| {
                HeaderMap::from_iter([(http::header::SEC_WEBSOCKET_EXTENSIONS, HeaderValue::from_static(offer))])
            };
            let whole = headers("permessage-deflate");
            let (compression, response) = negotiate(Some(1024), &whole).unwrap();
            assert!(compression.takes(1024) && compression.takes(usize::MAX) && !compression.takes(1023));
            assert_eq!(response, "permessage-deflate; server_no_context_takeover; client_no_context_takeover");
            let (limited, _) = negotiate(Some(0), &headers("permessage-deflate; server_max_window_bits=10")).unwrap();
            assert!(limited.takes(0) && limited.takes(1024) && !limited.takes(1025));
            assert!(negotiate(None, &whole).is_none(), "it is off");
            assert!(negotiate(Some(0), &HeaderMap::new()).is_none());
            // Incompressible.
            assert_eq!(compress(&frame("x")), None);
            assert!(compress(&frame(&"x".repeat(100))).is_some());
        }
    }
}

#[cfg(not(feature = "deflate"))]
mod off {
    use bytes::Bytes;
    use engineio_proto::Frame;
    use engineio_websocket::handshake::Deflate;
    use http::HeaderValue;
    use http::header::HeaderMap;

    /// How to compress the messages to one peer: there is no way.
    #[derive(Clone, Copy, Debug)]
    pub(crate) enum Compression {}

    impl Compression {
        pub(crate) fn takes(self, _: usize) -> bool {
            match self {}
        }
    }

    pub(crate) fn agreed(_: Option<Deflate>, _: u32) -> Option<Compression> {
        None
    }

    pub(crate) fn negotiate(_: Option<u32>, _: &HeaderMap) -> Option<(Compression, HeaderValue)> {
        None
    }

    pub(crate) fn compress(_: &Frame) -> Option<Bytes> {
        None
    }
}
