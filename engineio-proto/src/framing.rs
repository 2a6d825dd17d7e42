//! WebTransport framing: a length header before every packet, decoded incrementally.
