//! A signature over a record so far (EVIDENCE.md, "Signatures"): one line of `signatures.jsonl`.
//!
//! It is about the first `lines` lines of a record, by the SHA-256 of the last of them: the chain carries it to all
//! the others. Which key counts is not decided here; that the signature holds under the key it names is.

use std::collections::BTreeMap;

use firmware_protocol::root::PublicKey;
use serde::Deserialize;

use super::SIGNATURES_MAX_LINES;
use super::error::Fault;
use super::escape::excerpt;
use crate::trust::{Hex, holds_strictly, parse_hex};

/// First bytes of what is signed: keeps these signatures apart from all others that a key may make.
const DOMAIN: [u8; 18] = *b"noflake-evidence-1";
/// Longest line in bytes, its line feed included: four times what is written, for members to come.
const LINE_MAX_BYTES: usize = 1_300;

/// Longest file of signatures that is read, in bytes.
pub(super) const FILE_MAX_BYTES: u64 = (LINE_MAX_BYTES * SIGNATURES_MAX_LINES) as u64;

/// What a signature is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Checkpoint {
    /// Lines of the record, from its first.
    pub(super) lines: u64,
    /// SHA-256 of the last of them.
    pub(super) head: [u8; 32],
    /// Whose signature it is.
    pub(super) public_key: PublicKey,
}

/// What a file of signatures says, as far as it can be believed.
#[derive(Debug, Default)]
pub(super) struct Checkpoints {
    /// Those whose signatures hold, each about more lines than the one before.
    pub(super) held: Vec<Checkpoint>,
    /// The first line that is none.
    pub(super) fault: Option<Fault>,
}

/// What stands in a line. Members that it does not name are passed over: nothing of this format's hangs on them.
#[derive(Deserialize)]
struct Text {
    head: String,
    lines: u64,
    public_key: String,
    signature: String,
}

/// What is signed about the first `lines` lines of a record.
pub(super) fn message(lines: u64, head: &[u8; 32]) -> Vec<u8> {
    [&DOMAIN[..], &lines.to_le_bytes(), head].concat()
}

/// The line of a signature.
pub(super) fn to_line(checkpoint: &Checkpoint, signature: &[u8; 64]) -> String {
    let Checkpoint { lines, head, public_key } = checkpoint;
    format!(
        "{{\"head\":\"{}\",\"lines\":{lines},\"public_key\":\"{}\",\"signature\":\"{}\"}}\n",
        Hex(head),
        Hex(public_key),
        Hex(signature)
    )
}

impl Checkpoints {
    /// Reads every whole line; a cut-off one behind them is what a killed run leaves.
    pub(super) fn parse(bytes: &[u8]) -> Self {
        let mut read = Self::default();
        for (number, line) in (1..).zip(bytes.split_inclusive(|byte| *byte == b'\n')) {
            if line.last() != Some(&b'\n') {
                break;
            }
            let before = read.held.last().map_or(0, |checkpoint| checkpoint.lines);
            match parse_line(line, number, before) {
                Ok(checkpoint) => read.held.push(checkpoint),
                Err((expected, got)) => {
                    read.fault = Some(Fault { line: number, expected, got });
                    break;
                }
            }
        }
        read
    }

    /// Up to which line each key has signed, the longest part first.
    pub(super) fn by_key(&self) -> Vec<(PublicKey, u64)> {
        // Each is about more lines than the one before, so the last of a key counts.
        let parts: BTreeMap<PublicKey, u64> =
            self.held.iter().map(|checkpoint| (checkpoint.public_key, checkpoint.lines)).collect();
        let mut parts: Vec<_> = parts.into_iter().collect();
        parts.sort_by_key(|(_, lines)| std::cmp::Reverse(*lines));
        parts
    }
}

/// A line, or what was expected and what stands there.
fn parse_line(line: &[u8], number: u64, before: u64) -> Result<Checkpoint, (String, String)> {
    let wrong = |expected: &str, got: String| (expected.to_owned(), got);
    if number > SIGNATURES_MAX_LINES as u64 {
        return Err((format!("at most {SIGNATURES_MAX_LINES} lines"), excerpt(line)));
    }
    if line.len() > LINE_MAX_BYTES {
        return Err((format!("at most {LINE_MAX_BYTES} bytes"), format!("{} bytes", line.len())));
    }
    let text: Text = serde_json::from_slice(line).map_err(|_| {
        wrong("one JSON object with head, lines, public_key and signature", excerpt(line))
    })?;
    let hex = |text: &str| excerpt(text.as_bytes());
    let head =
        lower_hex(&text.head).ok_or_else(|| wrong("head in 64 hex digits", hex(&text.head)))?;
    let public_key = lower_hex(&text.public_key)
        .ok_or_else(|| wrong("public_key in 64 hex digits", hex(&text.public_key)))?;
    let signature = lower_hex(&text.signature)
        .ok_or_else(|| wrong("signature in 128 hex digits", hex(&text.signature)))?;
    if text.lines <= before {
        return Err((format!("more than {before} lines"), format!("{} lines", text.lines)));
    }
    if !holds_strictly(&public_key, &message(text.lines, &head), &signature) {
        let expected =
            "a signature over its lines and head under its public key, which is no weak one";
        return Err(wrong(expected, format!("`{}`", text.signature)));
    }
    Ok(Checkpoint { lines: text.lines, head, public_key })
}

/// As it is written, so that a signature has one way to be written down.
fn lower_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    parse_hex(text).filter(|bytes| Hex(bytes).to_string() == text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trust::{Signer as _, test_signer};

    fn line(lines: u64, seed: u8) -> String {
        let signer = test_signer(seed);
        let checkpoint = Checkpoint { lines, head: [7; 32], public_key: signer.public_key() };
        let signature = signer.sign(&message(lines, &checkpoint.head)).expect("signs");
        to_line(&checkpoint, &signature)
    }

    fn fault(text: &str) -> Fault {
        Checkpoints::parse(text.as_bytes()).fault.expect("is found")
    }

    /// Pins what is signed: EVIDENCE.md, "Signatures".
    #[test]
    fn the_message_is_domain_lines_and_head() {
        let expected = [b"noflake-evidence-1\x02\x01\0\0\0\0\0\0", &[7; 32][..]].concat();
        assert_eq!(message(258, &[7; 32]), expected);
    }

    #[test]
    fn the_last_signature_of_each_key_counts() {
        let text = [line(3, 1), line(5, 2), line(9, 1)].concat();
        let read = Checkpoints::parse(text.as_bytes());
        assert_eq!(read.fault, None);
        let keys = [1, 2].map(|seed| test_signer(seed).public_key());
        assert_eq!(read.by_key(), [(keys[0], 9), (keys[1], 5)]);
    }

    #[test]
    fn members_to_come_are_passed_over_and_a_cut_off_line_ends_the_file() {
        let newer = line(3, 1).replacen('{', "{\"counter\":[1,{}],", 1);
        let text = newer + &line(9, 1)[..40];
        let read = Checkpoints::parse(text.as_bytes());
        assert_eq!((read.fault, read.held.len()), (None, 1));
    }

    #[test]
    fn what_is_no_signature_is_named_with_its_line() {
        let good = line(3, 1);
        let hex = good.to_uppercase().replace("HEAD", "head").replace("LINES", "lines");
        let hex = hex.replace("PUBLIC_KEY", "public_key").replace("SIGNATURE", "signature");
        for (second, expected) in [
            ("{}\n".to_owned(), "one JSON object with"),
            ("\n".to_owned(), "one JSON object with"),
            ("[".repeat(1_200) + "\n", "one JSON object with"),
            (" ".repeat(1_300) + "\n", "at most 1300 bytes"),
            (hex, "public_key in 64 hex digits"),
            (good.clone(), "more than 3 lines"),
            (line(9, 1).replace("\"lines\":9", "\"lines\":8"), "a signature over its lines"),
        ] {
            let fault = fault(&(good.clone() + &second));
            assert_eq!(fault.line, 2, "{fault:?}");
            assert!(fault.expected.starts_with(expected), "{fault:?}");
        }
        assert!(fault(&good.replacen("\"lines\":3", "\"lines\":0", 1)).expected.contains("than 0"));
    }

    /// Anybody can make such a signature: the neutral point as the key, and as the signature's first half.
    #[test]
    fn a_weak_key_has_signed_nothing() {
        let mut neutral = [0; 32];
        neutral[0] = 1;
        let mut signature = [0; 64];
        signature[0] = 1;
        let checkpoint = Checkpoint { lines: 3, head: [7; 32], public_key: neutral };
        assert!(fault(&to_line(&checkpoint, &signature)).expected.contains("no weak one"));
    }

    #[test]
    fn a_file_of_more_lines_than_are_written_is_refused() {
        let refused = parse_line(line(9, 1).as_bytes(), SIGNATURES_MAX_LINES as u64 + 1, 0);
        assert_eq!(refused.expect_err("is one too many").0, "at most 4096 lines");
    }
}
