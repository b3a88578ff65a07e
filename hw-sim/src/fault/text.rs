//! A fault in one word, and back (SIMULATOR.md, "Faults").

use std::fmt;
use std::str::FromStr;

use firmware_protocol::boot::ResetCause;
use thiserror::Error;

use super::{DeviceFault, Fault, FlashFault, Reads, Tear};

/// A word that names no fault.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "{text:?} is no fault: expected one like cut@12:100, weak@12:0-64=new, fail@3:0, flip@9:4096.3 or \
     reset@80=watchdog (SIMULATOR.md, \"Faults\")"
)]
pub struct FaultError {
    /// The word.
    pub text: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Flash { at_operation: at, what } => flash(f, at, what),
            Self::Device { at_poll: at, what } => device(f, at, what),
        }
    }
}

fn flash(f: &mut fmt::Formatter<'_>, at: u64, what: FlashFault) -> fmt::Result {
    match what {
        FlashFault::Cut(Tear::Behind { bytes }) => write!(f, "cut@{at}:{bytes}"),
        FlashFault::Cut(Tear::Seeded { seed }) => write!(f, "cut@{at}~{seed}"),
        FlashFault::Cut(Tear::InWord { bytes, seed }) => write!(f, "torn@{at}:{bytes}~{seed}"),
        FlashFault::Cut(Tear::Scattered { seed }) => write!(f, "scatter@{at}~{seed}"),
        FlashFault::Cut(Tear::Weak { from, until, reads }) => {
            write!(f, "weak@{at}:{from}-{until}=")?;
            match reads {
                Reads::OldFirst => f.write_str("old"),
                Reads::NewFirst => f.write_str("new"),
                Reads::Each { seed } => write!(f, "{seed}"),
            }
        }
        FlashFault::BrownOut { bytes, access } => write!(f, "brownout@{at}:{bytes}/{access}"),
        FlashFault::Fail { bytes } => write!(f, "fail@{at}:{bytes}"),
        FlashFault::Silent => write!(f, "silent@{at}"),
        FlashFault::Misdirect { address } => write!(f, "misdirect@{at}:{address}"),
        FlashFault::Stuck { address, bit } => write!(f, "stuck@{at}:{address}.{bit}"),
        FlashFault::Worn { address } => write!(f, "worn@{at}:{address}"),
        FlashFault::Flip { address, bit } => write!(f, "flip@{at}:{address}.{bit}"),
        FlashFault::Ecc { address } => write!(f, "ecc@{at}:{address}"),
        FlashFault::Unread { address, times } => write!(f, "unread@{at}:{address}*{times}"),
    }
}

fn device(f: &mut fmt::Formatter<'_>, at: u64, what: DeviceFault) -> fmt::Result {
    match what {
        DeviceFault::Reset { cause } => write!(f, "reset@{at}={}", cause.word()),
        DeviceFault::Hang => write!(f, "hang@{at}"),
        DeviceFault::ClockJump { by_ms } => write!(f, "clock@{at}{by_ms:+}"),
        DeviceFault::ClockStop => write!(f, "clock@{at}=stop"),
        DeviceFault::Random { times } => write!(f, "random@{at}*{times}"),
    }
}

impl FromStr for Fault {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, FaultError> {
        parse(text).ok_or_else(|| FaultError { text: text.to_owned() })
    }
}

fn parse(text: &str) -> Option<Fault> {
    let (kind, rest) = text.split_once('@')?;
    if let Some(fault) = parse_device(kind, rest) {
        return Some(fault);
    }
    let digits = rest.find(|character: char| !character.is_ascii_digit()).unwrap_or(rest.len());
    let (at, rest) = rest.split_at_checked(digits)?;
    let at_operation = at.parse().ok().filter(|at| *at > 0)?;
    let colon = || rest.strip_prefix(':');
    let seed = |text: &str| text.strip_prefix('~')?.parse().ok();
    let what = match kind {
        "cut" => FlashFault::Cut(match colon() {
            Some(bytes) => Tear::Behind { bytes: bytes.parse().ok()? },
            None => Tear::Seeded { seed: seed(rest)? },
        }),
        "torn" => {
            let (bytes, seed) = colon()?.split_once('~')?;
            FlashFault::Cut(Tear::InWord { bytes: bytes.parse().ok()?, seed: seed.parse().ok()? })
        }
        "scatter" => FlashFault::Cut(Tear::Scattered { seed: seed(rest)? }),
        "weak" => FlashFault::Cut(parse_weak(colon()?)?),
        "brownout" => {
            let (bytes, access) = colon()?.split_once('/')?;
            FlashFault::BrownOut { bytes: bytes.parse().ok()?, access: access.parse().ok()? }
        }
        "fail" => FlashFault::Fail { bytes: colon()?.parse().ok()? },
        "silent" if rest.is_empty() => FlashFault::Silent,
        "misdirect" => FlashFault::Misdirect { address: colon()?.parse().ok()? },
        "stuck" => {
            let (address, bit) = parse_bit(colon()?)?;
            FlashFault::Stuck { address, bit }
        }
        "worn" => FlashFault::Worn { address: colon()?.parse().ok()? },
        "flip" => {
            let (address, bit) = parse_bit(colon()?)?;
            FlashFault::Flip { address, bit }
        }
        "ecc" => FlashFault::Ecc { address: colon()?.parse().ok()? },
        "unread" => {
            let (address, times) = colon()?.split_once('*')?;
            FlashFault::Unread { address: address.parse().ok()?, times: times.parse().ok()? }
        }
        _ => return None,
    };
    Some(Fault::Flash { at_operation, what })
}

fn parse_weak(text: &str) -> Option<Tear> {
    let (range, reads) = text.split_once('=')?;
    let (from, until) = range.split_once('-')?;
    let reads = match reads {
        "old" => Reads::OldFirst,
        "new" => Reads::NewFirst,
        seed => Reads::Each { seed: seed.parse().ok()? },
    };
    Some(Tear::Weak { from: from.parse().ok()?, until: until.parse().ok()?, reads })
}

fn parse_bit(text: &str) -> Option<(u32, u8)> {
    let (address, bit) = text.split_once('.')?;
    Some((address.parse().ok()?, bit.parse().ok().filter(|bit| *bit < 8)?))
}

fn parse_device(kind: &str, rest: &str) -> Option<Fault> {
    let (at, what) = match kind {
        "reset" => {
            let (at, word) = rest.split_once('=')?;
            let cause = ResetCause::ALL.into_iter().find(|cause| cause.word() == word)?;
            (at, DeviceFault::Reset { cause })
        }
        "hang" => (rest, DeviceFault::Hang),
        "clock" => match rest.find(['+', '-', '=']).map(|split| rest.split_at(split))? {
            (at, "=stop") => (at, DeviceFault::ClockStop),
            (at, by) => (at, DeviceFault::ClockJump { by_ms: by.parse().ok()? }),
        },
        "random" => {
            let (at, times) = rest.split_once('*')?;
            (at, DeviceFault::Random { times: times.parse().ok()? })
        }
        _ => return None,
    };
    Some(Fault::Device { at_poll: at.parse().ok().filter(|at| *at > 0)?, what })
}

#[cfg(test)]
mod tests {
    use super::super::FaultClass;
    use super::*;

    /// Of each class at least one; those that only follow from a part's own nature have no word.
    const WORDS: [&str; 24] = [
        "cut@12:100",
        "cut@3~99",
        "torn@12:100~7",
        "scatter@1~0",
        "weak@12:0-64=new",
        "weak@12:8-16=old",
        "weak@4:0-256=77",
        "brownout@5:12/3",
        "fail@3:0",
        "silent@4",
        "misdirect@6:4096",
        "stuck@1:17.7",
        "worn@2:8192",
        "flip@9:4096.3",
        "ecc@9:4096",
        "unread@2:512*3",
        "reset@80=watchdog",
        "reset@81=brown_out",
        "hang@5",
        "clock@9+60000",
        "clock@9-60000",
        "clock@9=stop",
        "random@1*4",
        "random@18446744073709551615*1",
    ];

    #[test]
    fn a_fault_is_read_as_it_is_written() {
        let mut classes = Vec::new();
        for word in WORDS {
            let fault: Fault = word.parse().unwrap();
            assert_eq!(fault.to_string(), word);
            classes.push(fault.class());
        }
        for class in FaultClass::ALL {
            let follows = matches!(class, FaultClass::WriteOnce | FaultClass::Trap);
            assert_eq!(classes.contains(&class), !follows, "{class}");
        }
    }

    #[test]
    fn what_is_no_fault_is_named() {
        for word in [
            "",
            "cut",
            "cut@",
            "cut@0:1",
            "cut@1",
            "cut@1:x",
            "cut@-1:0",
            "silent@4:1",
            "flip@1:4.8",
            "weak@1:0=new",
            "reset@1=nothing",
            "clock@1",
            "clock@1=go",
            "hang@x",
            "random@1",
            "boom@1:2",
            "cut@1:2 ",
            "unread@1:2",
        ] {
            let error = word.parse::<Fault>().unwrap_err();
            assert!(error.to_string().starts_with(&format!("{word:?} is no fault")), "{error}");
        }
    }
}
