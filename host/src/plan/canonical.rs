//! The canonical form of a plan, and its digest.
//!
//! Every value is a tag byte and its content; a length or count is a u32, all integers
//! little-endian:
//!
//! ```text
//! 's' length utf8-bytes      text           'i' i64       integer
//! 'b' 0|1                    flag           'f' f64 bits  float, -0.0 written as 0.0
//! 'd' length utf8-bytes      date, time     'a' count values
//! 't' count (key value)*     table: keys as texts without a tag, in ascending byte order
//! ```
//!
//! The digest is SHA-256 over [`DOMAIN`] followed by the root table. TOML has more than one way to
//! write a table; all of them meet here in the same bytes.

use sha2::{Digest as _, Sha256};
use toml::Spanned;
use toml::de::{DeFloat, DeInteger, DeTable, DeValue};

/// Keeps a plan digest apart from every other SHA-256 of the tool.
const DOMAIN: &[u8] = b"noflake plan qualplan/1\0";

pub(super) fn digest(root: &DeTable<'_>) -> [u8; 32] {
    let mut bytes = DOMAIN.to_vec();
    write_table(root, &mut bytes);
    Sha256::digest(&bytes).into()
}

fn write_table(table: &DeTable<'_>, out: &mut Vec<u8>) {
    let mut entries: Vec<(&str, &DeValue<'_>)> =
        table.iter().map(|(key, value)| (key.get_ref().as_ref(), value.get_ref())).collect();
    entries.sort_by_key(|(key, _)| *key);
    out.push(b't');
    write_count(entries.len(), out);
    for (key, value) in entries {
        write_bytes(key.as_bytes(), out);
        write_value(value, out);
    }
}

fn write_value(value: &DeValue<'_>, out: &mut Vec<u8>) {
    match value {
        DeValue::String(text) => write_tagged(b's', text.as_bytes(), out),
        DeValue::Integer(integer) => write_integer(integer, out),
        DeValue::Float(float) => write_float(float, out),
        DeValue::Boolean(flag) => out.extend([b'b', u8::from(*flag)]),
        DeValue::Datetime(time) => write_tagged(b'd', time.to_string().as_bytes(), out),
        DeValue::Array(values) => {
            out.push(b'a');
            write_count(values.len(), out);
            values.iter().map(Spanned::get_ref).for_each(|value| write_value(value, out));
        }
        DeValue::Table(table) => write_table(table, out),
    }
}

/// An integer past i64 is refused when the plan is read; its text keeps this function total.
fn write_integer(integer: &DeInteger<'_>, out: &mut Vec<u8>) {
    match i64::from_str_radix(integer.as_str(), integer.radix()) {
        Ok(number) => {
            out.push(b'i');
            out.extend(number.to_le_bytes());
        }
        Err(_) => write_tagged(b'i', integer.as_str().as_bytes(), out),
    }
}

fn write_float(float: &DeFloat<'_>, out: &mut Vec<u8>) {
    match float.as_str().parse::<f64>() {
        Ok(number) => {
            out.push(b'f');
            // Adding zero turns -0.0 into 0.0 and changes nothing else.
            out.extend((number + 0.0).to_bits().to_le_bytes());
        }
        Err(_) => write_tagged(b'f', float.as_str().as_bytes(), out),
    }
}

fn write_tagged(tag: u8, bytes: &[u8], out: &mut Vec<u8>) {
    out.push(tag);
    write_bytes(bytes, out);
}

fn write_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    write_count(bytes.len(), out);
    out.extend(bytes);
}

/// A plan is at most 256 KiB long, so no count of it saturates.
fn write_count(count: usize, out: &mut Vec<u8>) {
    out.extend(u32::try_from(count).unwrap_or(u32::MAX).to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_white_space_key_order_and_spelling_do_not_matter() {
        let plain = of("a = 16\nb = \"x\"\n[c]\nd = 1.5\ne = [1, 2]\n");
        assert_eq!(plain, of("# why\nc = { e = [ 1,\n 2 ], d = 15e-1 }\nb = 'x'\na = 0x10\n"));
    }

    #[test]
    fn every_value_and_every_type_matters() {
        let texts = [
            "a = 1",
            "a = 2",
            "b = 1",
            "a = 1.0",
            "a = \"1\"",
            "a = true",
            "a = [1]",
            "a = [[1]]",
            "a = {}",
            "a = 1979-05-27",
            "a = \"1979-05-27\"",
            "a = [\"xy\"]",
            "a = [\"x\", \"y\"]",
        ];
        for (index, left) in texts.iter().enumerate() {
            for right in texts.iter().skip(index + 1) {
                assert_ne!(of(left), of(right), "{left} and {right} share a digest");
            }
        }
    }

    #[test]
    fn minus_zero_is_zero() {
        assert_eq!(of("a = -0.0"), of("a = 0.0"));
    }

    /// Golden: manifests carry this digest, so the bytes never change within `qualplan/1`.
    #[test]
    fn the_canonical_bytes_are_frozen() {
        let document = DeTable::parse("b = [true, 1.0]\na = \"x\"").unwrap();
        let mut bytes = Vec::new();
        write_table(document.get_ref(), &mut bytes);
        let expected = [
            b"t\x02\0\0\0".as_slice(),
            b"\x01\0\0\0as\x01\0\0\0x",
            b"\x01\0\0\0ba\x02\0\0\0b\x01f\0\0\0\0\0\0\xf0\x3f",
        ]
        .concat();
        assert_eq!(bytes, expected);
    }

    fn of(text: &str) -> [u8; 32] {
        digest(DeTable::parse(text).unwrap().get_ref())
    }
}
