//! Decodes the same read over and over: 32 masked text frames. For counting instructions:
//!
//! `valgrind --tool=callgrind target/release/examples/decode_batch 1000 64`, then with 2000 rounds; a frame of 64 bytes
//! costs the difference divided by 32 000. Putting the masks back on by copying the read again and dropping the
//! messages are part of the count.

use std::hint::black_box;

use engineio_websocket::{Arena, Decoder, Event, Limits, Role, encode_text};

fn main() {
    let argument = |position, default| std::env::args().nth(position).map_or(Ok(default), |text| text.parse());
    let (Ok(rounds), Ok(length)) = (argument(1, 1000), argument(2, 64)) else {
        return eprintln!("usage: decode_batch [ROUNDS [BYTES OF A MESSAGE]]");
    };
    let text = "4".repeat(length);
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
                messages += usize::from(text.len() == length);
            }
        }
    }
    assert_eq!(messages, rounds * 32);
    println!("{messages} messages");
}
