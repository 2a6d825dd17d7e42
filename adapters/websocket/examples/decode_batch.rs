//! Decodes the same read over and over: 32 masked text frames of 64 bytes. For counting instructions:
//!
//! `valgrind --tool=callgrind target/release/examples/decode_batch 1000`, then with 2000; a frame costs the difference
//! divided by 32 000. The mask is put back on by copying the read again, which is part of the count.

use std::hint::black_box;

use engineio_websocket::{Arena, Decoder, Event, Limits, Role, encode_text};

fn main() {
    let rounds: usize = std::env::args().nth(1).and_then(|count| count.parse().ok()).unwrap_or(1000);
    let text = "4".repeat(64);
    let mut batch = Vec::new();
    for _ in 0..32 {
        encode_text(&mut batch, &text, Some([0x12, 0x34, 0x56, 0x78]));
    }
    let mut read = batch.clone();
    let mut arena = Arena::new();
    let mut decoder = Decoder::new(Role::Server, Limits::default());
    let mut messages = 0_usize;
    for _ in 0..rounds {
        read.copy_from_slice(&batch);
        let mut input = black_box(&mut read[..]);
        while let Ok(Some(event)) = decoder.decode(&mut input, &mut arena) {
            if let Event::Text(text) = black_box(event) {
                messages += usize::from(text.len() == 64);
            }
        }
    }
    assert_eq!(messages, rounds * 32);
    println!("{messages} messages");
}
