//! Server-sent events out of bytes that may be cut anywhere.
//!
//! The format is that of the HTML standard, "Server-sent events", section "Parsing an event
//! stream": UTF-8 with an optional byte order mark; lines end in CR LF, LF or CR; an empty line ends
//! an event; a line that begins with a colon is a comment.

/// One event: the `data` lines joined by line feeds, and the `event` field, empty if absent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SseEvent {
    pub(crate) name: String,
    pub(crate) data: String,
}

/// Holds what is incomplete between two pieces of a stream.
#[derive(Debug, Default)]
pub(crate) struct SseParser {
    /// The bytes of the line that has not ended.
    line: Vec<u8>,
    /// The last byte was CR: an LF that follows belongs to it.
    after_cr: bool,
    /// A line has ended, so no byte order mark can follow.
    started: bool,
    name: String,
    /// `None` until the event has a `data` line: such an event is dropped.
    data: Option<String>,
}

impl SseParser {
    /// The events that end within `bytes`.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Vec<SseEvent> {
        let mut events = Vec::new();
        for &byte in bytes {
            let belongs_to_cr = std::mem::take(&mut self.after_cr) && byte == b'\n';
            match byte {
                b'\n' if belongs_to_cr => {}
                b'\n' | b'\r' => {
                    self.after_cr = byte == b'\r';
                    events.extend(self.end_line());
                }
                _ => self.line.push(byte),
            }
        }
        events
    }

    /// Takes the finished line in; the event, if the line ends one.
    fn end_line(&mut self) -> Option<SseEvent> {
        let bytes = std::mem::take(&mut self.line);
        let mut line = &*String::from_utf8_lossy(&bytes);
        if !std::mem::replace(&mut self.started, true) {
            line = line.strip_prefix('\u{feff}').unwrap_or(line);
        }
        if line.is_empty() {
            let name = std::mem::take(&mut self.name);
            return self.data.take().map(|data| SseEvent { name, data });
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.name),
            "data" => match &mut self.data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                None => self.data = Some(value.to_owned()),
            },
            // Comments (an empty field name), `id`, `retry` and unknown fields mean nothing here.
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests;
