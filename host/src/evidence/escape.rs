//! Text of a device, made safe for terminals and reports.
//!
//! A console line may carry an escape sequence that retitles or clears a terminal, or a bidirectional
//! override that makes a report read backwards. Such characters become visible escapes.
//!
//! A backslash stays as it is: escaping twice then changes nothing, so a text may pass the recorder,
//! the reader and a report without anybody counting.

use std::fmt::Write as _;

use firmware_protocol::planted::Defence;
use serde_json::Value;

/// Replaces every character that could steer a terminal or reorder a line by a visible escape.
///
/// Idempotent. Line feed and tab become `\n` and `\t`: the result is always one line.
#[must_use]
pub fn escape_text(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    push_escaped(&mut safe, text);
    safe
}

/// Like [`escape_text`], for a line of a log that somebody's CI reads: what would be a command to it becomes visible text.
///
/// Runners take lines that begin with `::` (GitHub), and `##vso[`, `##[` or `##teamcity[` wherever it stands in a line.
/// Idempotent.
#[must_use]
pub fn escape_log_line(line: &str) -> String {
    let safe = escape_text(line);
    let unindented = safe.trim_start();
    let indent = safe.len() - unindented.len();
    let mut disarmed = String::with_capacity(safe.len());
    let mut rest = safe.as_str();
    if unindented.starts_with("::") {
        disarmed.push_str(safe.get(..indent).unwrap_or_default());
        disarmed.extend(':'.escape_unicode());
        rest = unindented.get(1..).unwrap_or_default();
    }
    while let Some((before, behind)) = rest.split_once("##") {
        disarmed.push_str(before);
        let word = behind.trim_start_matches(|character: char| character.is_ascii_alphabetic());
        if word.starts_with('[') {
            disarmed.extend('#'.escape_unicode());
            disarmed.push('#');
            rest = behind;
        } else {
            // The second one may begin the next pair.
            disarmed.push('#');
            rest = rest.get(before.len() + 1..).unwrap_or_default();
        }
    }
    disarmed.push_str(rest);
    disarmed
}

/// The same for a line of JSON, whose meaning stays: what is unsafe can stand in its texts only, and JSON has escapes of
/// its own for it.
#[must_use]
pub fn escape_json_line(line: &str) -> String {
    let mut safe = String::with_capacity(line.len());
    let mut was_hash = false;
    for character in line.chars() {
        let is_command = character == '#' && was_hash;
        was_hash = character == '#' && !is_command;
        if is_command || is_unsafe(character) {
            let units = &mut [0; 2];
            for unit in character.encode_utf16(units) {
                // Writing to a String cannot fail.
                let _ = write!(safe, "\\u{unit:04x}");
            }
        } else {
            safe.push(character);
        }
    }
    safe
}

/// Like [`escape_text`] for bytes as received; a byte that is not UTF-8 becomes `\xNN`.
#[must_use]
pub fn escape_bytes(bytes: &[u8]) -> String {
    let mut safe = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        push_escaped(&mut safe, chunk.valid());
        for byte in chunk.invalid() {
            safe.extend(byte.escape_ascii().map(char::from));
        }
    }
    safe
}

/// Enough of a line to recognise it.
pub(super) fn excerpt(bytes: &[u8]) -> String {
    let shown = escape_bytes(bytes.get(..EXCERPT_MAX_BYTES).unwrap_or(bytes));
    let dots = if bytes.len() > EXCERPT_MAX_BYTES { "..." } else { "" };
    format!("`{}{dots}`", shown.trim_end_matches("\\n"))
}

/// Escapes and caps every text inside `value`, keys included.
pub(super) fn make_safe(value: Value) -> Value {
    if let Value::String(text) = value {
        return Value::String(capped(escape_text(&text)));
    }
    if let Value::Array(items) = value {
        return Value::Array(items.into_iter().map(make_safe).collect());
    }
    if let Value::Object(members) = value {
        let safe = |(key, member): (String, Value)| (escape_text(&key), make_safe(member));
        return Value::Object(members.into_iter().map(safe).collect());
    }
    value
}

fn push_escaped(safe: &mut String, text: &str) {
    for character in text.chars() {
        match character {
            '\n' => safe.push_str("\\n"),
            '\r' => safe.push_str("\\r"),
            '\t' => safe.push_str("\\t"),
            _ if is_unsafe(character) => safe.extend(character.escape_unicode()),
            _ => safe.push(character),
        }
    }
}

/// Control, bidirectional, invisible and non-characters (Unicode 16, categories Cc, Cf, Zl, Zp).
fn is_unsafe(character: char) -> bool {
    if Defence::EscapedText.is_off() {
        return false;
    }
    character.is_control()
        || matches!(
            character,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{fffe}'..='\u{ffff}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

fn capped(mut text: String) -> String {
    if text.len() <= TEXT_MAX_BYTES {
        return text;
    }
    let left_out = text.len() - TEXT_MAX_BYTES;
    let mut kept = TEXT_MAX_BYTES - CAP_NOTE_MAX_BYTES;
    while !text.is_char_boundary(kept) {
        kept -= 1;
    }
    text.truncate(kept);
    text + &format!("... ({left_out} bytes or more left out)")
}

/// Longest stored text; 16 texts of this size still fit into one line of a record.
const TEXT_MAX_BYTES: usize = 64 * 1024;
const EXCERPT_MAX_BYTES: usize = 80;
/// Room for the sentence that says how much is missing, so that capping twice changes nothing.
const CAP_NOTE_MAX_BYTES: usize = 64;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_terminal_escape_sequence_becomes_visible_text() {
        assert_eq!(escape_text("\u{1b}[2Jok\u{7}"), "\\u{1b}[2Jok\\u{7}");
    }

    #[test]
    fn a_c1_control_is_escaped_because_some_terminals_obey_it() {
        assert_eq!(escape_text("\u{9b}2J"), "\\u{9b}2J");
    }

    #[test]
    fn a_bidirectional_override_cannot_reorder_a_line() {
        assert_eq!(escape_text("v1\u{202e}2v"), "v1\\u{202e}2v");
        assert_eq!(escape_text("\u{2066}x\u{2069}"), "\\u{2066}x\\u{2069}");
    }

    #[test]
    fn line_ends_and_tabs_keep_the_result_on_one_line() {
        assert_eq!(escape_text("a\r\nb\tc\u{2028}d"), "a\\r\\nb\\tc\\u{2028}d");
    }

    #[test]
    fn ordinary_text_in_any_script_is_left_alone() {
        assert_eq!(escape_text("5 µs, 23 °C, Grüße, 温度 \\ \""), "5 µs, 23 °C, Grüße, 温度 \\ \"");
    }

    #[test]
    fn escaping_twice_changes_nothing() {
        for code in (0..=0x11_FFFF_u32).filter_map(char::from_u32) {
            let once = escape_text(&code.to_string());
            assert_eq!(escape_text(&once), once, "U+{:04X}", u32::from(code));
        }
    }

    #[test]
    fn commands_to_a_ci_become_visible_text_and_everything_else_stays() {
        for (text, safe) in [
            ("::error::broken", "\\u{3a}:error::broken"),
            ("  ::stop-commands::x", "  \\u{3a}:stop-commands::x"),
            ("x ##vso[task.setvariable]y", "x \\u{23}#vso[task.setvariable]y"),
            ("###[error]", "#\\u{23}#[error]"),
            ("##teamcity[x] ##[x]", "\\u{23}#teamcity[x] \\u{23}#[x]"),
            ("a::b ## c [d] #", "a::b ## c [d] #"),
            ("\u{1b}::x", "\\u{1b}::x"),
        ] {
            assert_eq!(escape_log_line(text), safe);
            assert_eq!(escape_log_line(safe), safe);
        }
    }

    #[test]
    fn a_line_of_json_keeps_its_meaning_and_commands_nothing() {
        let value = json!({ "###": "##vso[x] # \u{9b}2J \u{202e}x \u{e0041} \u{7f} °" });
        let safe = escape_json_line(&value.to_string());
        assert!(!safe.contains("##") && !safe.chars().any(is_unsafe), "{safe}");
        assert!(safe.contains('°'), "{safe}");
        assert_eq!(serde_json::from_str::<Value>(&safe).expect("JSON"), value);
    }

    #[test]
    fn bytes_that_are_not_utf8_are_shown_as_hex() {
        assert_eq!(escape_bytes(b"boot \xff\xfe ok\x1b"), "boot \\xff\\xfe ok\\u{1b}");
    }

    #[test]
    fn texts_inside_a_json_value_are_escaped_wherever_they_are() {
        let raw = json!({"a\u{1b}": ["x\u{1b}", {"b": "\u{202e}"}], "n": 1.5});
        let safe = json!({"a\\u{1b}": ["x\\u{1b}", {"b": "\\u{202e}"}], "n": 1.5});
        assert_eq!(make_safe(raw), safe);
    }

    #[test]
    fn a_text_that_is_too_long_is_cut_at_a_character_and_says_so_once() {
        let once = capped("é".repeat(TEXT_MAX_BYTES));
        assert!(once.len() <= TEXT_MAX_BYTES);
        assert!(once.ends_with("(65536 bytes or more left out)"), "{}", &once[once.len() - 50..]);
        assert_eq!(capped(once.clone()), once);
    }
}
