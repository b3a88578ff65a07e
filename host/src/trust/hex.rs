//! Bytes as lower-case hex digits, as keys and hints are shown to people.

use std::fmt;

/// Shows bytes as hex digits.
#[derive(Debug, Clone, Copy)]
pub struct Hex<'a>(pub &'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Reads exactly `N` bytes of hex digits, either case.
#[must_use]
pub fn parse_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits: Option<Vec<u8>> = text
        .chars()
        .map(|digit| digit.to_digit(16).and_then(|value| u8::try_from(value).ok()))
        .collect();
    let bytes: Option<Vec<u8>> = digits?
        .chunks(2)
        .map(|pair| match pair {
            [high, low] => Some(high << 4 | low),
            _ => None,
        })
        .collect();
    bytes?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_comes_back_as_it_went_in() {
        assert_eq!(Hex(&[0, 0xAB, 0x7F]).to_string(), "00ab7f");
        assert_eq!(parse_hex::<3>("00Ab7f"), Some([0, 0xAB, 0x7F]));
    }

    #[test]
    fn what_is_not_that_many_bytes_is_refused() {
        for text in ["", "00ab7", "00ab7f00", "00ab7g", "+0ab7f", "é0ab7"] {
            assert_eq!(parse_hex::<3>(text), None, "{text:?}");
        }
    }
}
