//! A device's console text between two looks at it: cut into lines, and bounded.

/// Most memory that lines take between two looks, in bytes.
const MAX_BYTES: usize = 256 * 1_024;
/// Longest line, in bytes: a console that never ends its lines is cut.
const LINE_MAX_BYTES: usize = 1_024;

/// A console line with its time on the link's clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsoleText {
    /// When it was complete, in milliseconds.
    pub at_ms: u64,
    /// As received; escape it before it is shown.
    pub text: String,
}

impl ConsoleText {
    const fn bytes(&self) -> usize {
        self.text.len() + size_of::<Self>()
    }
}

/// What a device has said on its console since the last look, over however many connections.
///
/// What is beyond 256 KiB is dropped, newest first, and a last line says how much that was.
#[derive(Debug, Default)]
pub struct Console {
    lines: Vec<ConsoleText>,
    lines_bytes: usize,
    part: Vec<u8>,
    part_us: u64,
    dropped_bytes: u64,
    dropped_ms: u64,
}

impl Console {
    /// Takes text as it comes.
    pub fn hear(&mut self, now_us: u64, text: &[u8]) {
        self.part_us = now_us;
        for byte in text {
            match byte {
                b'\n' => self.keep_line(),
                byte => self.part.push(*byte),
            }
            if self.part.len() > LINE_MAX_BYTES {
                self.keep_line();
            }
        }
    }

    /// When text last came, in microseconds.
    #[must_use]
    pub const fn heard_us(&self) -> u64 {
        self.part_us
    }

    /// Takes what there is as a line, as when the rest of it is lost with a connection.
    pub fn end_line(&mut self) {
        if !self.part.is_empty() {
            self.keep_line();
        }
    }

    /// Lines since the last call.
    pub fn take(&mut self) -> Vec<ConsoleText> {
        self.lines_bytes = 0;
        let mut lines = std::mem::take(&mut self.lines);
        let dropped_bytes = std::mem::take(&mut self.dropped_bytes);
        if dropped_bytes > 0 {
            let text = format!("[noflake: {dropped_bytes} bytes of console text were dropped]");
            lines.push(ConsoleText { at_ms: self.dropped_ms, text });
        }
        lines
    }

    fn keep_line(&mut self) {
        let raw = std::mem::take(&mut self.part);
        let at_ms = self.part_us / 1_000;
        let text = String::from_utf8_lossy(&raw).trim_end_matches('\r').to_owned();
        let line = ConsoleText { at_ms, text };
        // Once one is dropped all are, up to the next look: no hole in the middle goes unsaid.
        if self.dropped_bytes == 0 && self.lines_bytes + line.bytes() <= MAX_BYTES {
            self.lines_bytes += line.bytes();
            self.lines.push(line);
        } else {
            self.dropped_bytes = self.dropped_bytes.saturating_add(raw.len() as u64 + 1);
            self.dropped_ms = at_ms;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held_bytes(lines: &[ConsoleText]) -> usize {
        lines.iter().map(ConsoleText::bytes).sum()
    }

    #[test]
    fn text_becomes_lines_and_a_part_waits_for_its_end() {
        let mut console = Console::default();
        console.hear(2_000, b"one\r\ntw");
        console.hear(3_000, b"o\nthr");
        let line = |at_ms, text: &str| ConsoleText { at_ms, text: text.to_owned() };
        assert_eq!(console.take(), [line(2, "one"), line(3, "two")]);
        console.end_line();
        assert_eq!(console.take(), [line(3, "thr")]);
    }

    /// Bytes that are no UTF-8 take three when they are kept, empty lines take a line's own room.
    #[test]
    fn whatever_floods_a_console_it_holds_no_more_than_its_bound() {
        for (what, flood) in [("text", &b"all is well\n"[..]), ("junk", &[0xff]), ("empty", b"\n")]
        {
            let mut console = Console::default();
            let sent = flood.repeat(2 * MAX_BYTES);
            console.hear(5_000, &sent);
            let mut lines = console.take();
            let note = lines.pop().unwrap();
            assert!(held_bytes(&lines) <= MAX_BYTES, "{what}: {} bytes", held_bytes(&lines));
            assert!(held_bytes(&lines) > MAX_BYTES / 2, "{what}: {} bytes", held_bytes(&lines));
            assert!(note.text.contains("bytes of console text were dropped"), "{what}: {note:?}");
        }
    }

    #[test]
    fn a_look_makes_room_and_the_note_says_how_much_was_dropped() {
        let mut console = Console::default();
        let line = [b'x'; 1_000].as_slice();
        for _ in 0..1_000 {
            console.hear(0, line);
            console.hear(0, b"\n");
        }
        let lines = console.take();
        let dropped = (1_000 - (lines.len() - 1)) * 1_001;
        let note = format!("[noflake: {dropped} bytes of console text were dropped]");
        assert_eq!(lines.last().map(|line| line.text.as_str()), Some(note.as_str()));
        console.hear(0, b"again\n");
        assert_eq!(console.take().len(), 1, "a look makes room, and a note is said once");
    }
}
