//! What is printed: events and acks on stdout, and what happens to the connection on stderr. With `--json`, everything is an object of JSON
//! on stdout.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::PathBuf;

use bytes::Bytes;
use socketio_tokio::Payload;

use crate::value::{hex, json, printable, write_arguments, write_hex};

/// More bytes than these are not shown to people.
const SHOWN_BYTES: usize = 32;

/// Prints. An error means that nobody reads stdout any more.
#[derive(Debug)]
pub(super) struct Output {
    pub(super) json: bool,
    /// Whether only events and acks are printed.
    pub(super) quiet: bool,
    pub(super) files: Option<Files>,
}

/// Where binary data is saved.
#[derive(Debug)]
pub(super) struct Files {
    directory: PathBuf,
    next: u64,
}

impl Files {
    pub(super) fn new(directory: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&directory)?;
        Ok(Self { directory, next: 1 })
    }

    /// Saves the bytes in a new file, and returns its path. The name has nothing that comes from the server.
    fn save(&mut self, bytes: &[u8]) -> io::Result<PathBuf> {
        loop {
            let path = self.directory.join(format!("{:06}.bin", self.next));
            self.next = self.next.saturating_add(1);
            match OpenOptions::new().write(true).create_new(true).open(&path) {
                Ok(mut file) => return file.write_all(bytes).map(|()| path),
                // Of an earlier run.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl Output {
    /// An event. `namespace` is shown to people if they use several. `number` is that of `:answer`, if the event wants an ack.
    pub(super) fn event(
        &mut self,
        (namespace, is_only): (&str, bool),
        payload: &Payload,
        number: Option<u64>,
    ) -> io::Result<()> {
        let name = payload.name().unwrap_or_default();
        let mut line = String::new();
        if self.json {
            line.push_str(&format!(
                "{{\"type\":\"event\",\"namespace\":{},\"event\":{},\"args\":[",
                json(namespace),
                json(name)
            ));
            self.arguments(&mut line, payload);
            line.push(']');
            line.extend(number.map(|number| format!(",\"ack\":{number}")));
            line.push('}');
        } else {
            if !is_only {
                line.push_str(namespace);
                line.push(' ');
            }
            line.push_str(&shown_name(name));
            if !payload.is_empty() {
                line.push(' ');
            }
            self.arguments(&mut line, payload);
            line.extend(number.map(|number| format!("  (:answer {number})")));
        }
        print(&line)
    }

    /// The ack of an event.
    pub(super) fn acked(&mut self, namespace: &str, number: u64, payload: &Payload) -> io::Result<()> {
        let mut line = String::new();
        if self.json {
            line.push_str(&format!("{{\"type\":\"ack\",\"namespace\":{},\"ack\":{number},\"args\":[", json(namespace)));
            self.arguments(&mut line, payload);
            line.push_str("]}");
        } else {
            line.push_str(&format!(":acked {number} "));
            self.arguments(&mut line, payload);
        }
        print(line.trim_end())
    }

    /// An event has no ack, and why.
    pub(super) fn not_acked(&self, namespace: &str, number: u64, event: &str, error: &str) -> io::Result<()> {
        if self.json {
            let (namespace, error) = (json(namespace), json(error));
            return print(&format!(
                "{{\"type\":\"ack\",\"namespace\":{namespace},\"ack\":{number},\"error\":{error}}}"
            ));
        }
        tell(&format!(":ack {number} {event}: {error}"));
        Ok(())
    }

    /// Something about the connection: `text` for people, and `members` of an object for programs, which begin with `"type"`.
    pub(super) fn state(&self, text: &str, members: &str) -> io::Result<()> {
        match (self.quiet, self.json) {
            (true, _) => {}
            (false, true) => return print(&format!("{{{members}}}")),
            (false, false) => tell(text),
        }
        Ok(())
    }

    /// Something that was asked for could not be done, or nothing more can be done.
    pub(super) fn error(&self, text: &str) -> io::Result<()> {
        if self.json {
            return print(&format!("{{\"type\":\"error\",\"message\":{}}}", json(text)));
        }
        tell(text);
        Ok(())
    }

    fn arguments(&mut self, line: &mut String, payload: &Payload) {
        let Self { json: for_programs, files, .. } = self;
        let for_programs = *for_programs;
        let separator = if for_programs { "," } else { " " };
        write_arguments(line, payload, separator, &mut |line, bytes| {
            let Some(files) = files else {
                return if for_programs { write_hex(line, bytes) } else { show_bytes(line, bytes) };
            };
            match files.save(bytes) {
                Ok(path) => {
                    let path = path.display().to_string();
                    let text = if for_programs {
                        format!("{{\"$file\":{},\"bytes\":{}}}", json(&path), bytes.len())
                    } else {
                        format!("<{} bytes in {path}>", bytes.len())
                    };
                    line.push_str(&text);
                }
                Err(error) => {
                    tell(&format!("{} bytes could not be saved: {error}", bytes.len()));
                    if for_programs { write_hex(line, bytes) } else { show_bytes(line, bytes) }
                }
            }
        });
    }
}

/// An event's name as people read it: in quotes, unless it cannot be mistaken for anything else.
fn shown_name(name: &str) -> String {
    let is_plain = |character: char| character.is_alphanumeric() || "-_.:/@".contains(character);
    let is_word = name.starts_with(char::is_alphanumeric) && name.chars().all(is_plain);
    if is_word { name.to_owned() } else { json(name) }
}

fn show_bytes(line: &mut String, bytes: &Bytes) {
    let shown = bytes.get(..SHOWN_BYTES).unwrap_or(bytes);
    let more = if shown.len() < bytes.len() { ".." } else { "" };
    line.push_str(&format!("<{} bytes {}{more}>", bytes.len(), hex(shown)));
}

fn print(line: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(printable(line).as_bytes())?;
    stdout.write_all(b"\n")?;
    stdout.flush()
}

/// Tells people something, on stderr. Whether they read it does not matter.
pub(super) fn tell(text: &str) {
    let _ = writeln!(io::stderr(), "{}", printable(text));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_quoted_if_it_could_be_something_else() {
        assert_eq!(shown_name("message"), "message");
        assert_eq!(shown_name("chat:new-message"), "chat:new-message");
        for name in ["", "a b", ":acked", "/admin", "<1 bytes 00>", "\"", "a\n"] {
            assert!(shown_name(name).starts_with('"'), "{name}");
        }
    }

    #[test]
    fn bytes_are_shortened_for_people() {
        let mut line = String::new();
        show_bytes(&mut line, &Bytes::from_static(&[1, 255]));
        assert_eq!(line, "<2 bytes 01ff>");
        line.clear();
        show_bytes(&mut line, &Bytes::from(vec![0; 33]));
        assert_eq!(line, format!("<33 bytes {}..>", "00".repeat(32)));
    }
}
