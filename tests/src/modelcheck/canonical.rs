//! One number for what a state means: what is only a name or a date in it does not count.
//!
//! The machines print themselves ([`std::fmt::Debug`]) into [`Print`], which keeps no text. Numbers that name
//! something (boots, sessions, trials) count by the order in which they come up first; points in time by how far they
//! are from now; and fields that decide nothing any more, or only where something lies, not at all. Everything else
//! counts as printed, so that a field that is added to a machine counts unless it is named here.

use std::fmt::{self, Debug, Write as _};
use std::hash::{DefaultHasher, Hash, Hasher as _};

use super::chip::{FIRST_NONCE, FIRST_SESSION};

/// When everything begins, on the host's clock, in milliseconds: no other number in a state is between it and
/// [`LATEST_MS`].
pub const BEGIN_MS: u64 = 1_000_000_000_000;
/// Later than any state.
pub const LATEST_MS: u64 = 2 * BEGIN_MS;
/// First number of a request.
pub const FIRST_REQUEST: u32 = 0x1D00_0000;
/// First number of a trial.
pub const FIRST_TRIAL: u32 = 0x7A00_0000;

/// Numbers behind the first of a kind that name one of it.
const NAMES: u64 = 0x10_0000;
/// A session that was silent for so long may be taken, and a boot that is as old is kept for nobody.
const STALE_MS: u64 = firmware_protocol::device::SESSION_IDLE_MS;

/// Fields of an engine that do not count: where things lie on flash and how often that was written; what was sent, and
/// under which number (a number is never used again, so what is kept for it is never asked for); what never changes.
const IGNORED_OF_ENGINE: [&str; 27] = [
    "layout",
    "board",
    "window",
    "flash",
    "ranges",
    "sender",
    "received",
    "staged_by",
    "opened_by",
    "console",
    "erases",
    "unrecorded_erases",
    "sequence",
    "home",
    "first",
    "current",
    "next_index",
    "doubtful",
    "clearing",
    "writes",
    "faults",
    "running_version",
    "clock_ms",
    "max_frame_bytes",
    "record_version",
    "hardware_deadline",
    "link",
];
/// Fields of a host that do not count: what never changes, what only goes on record, and how long a boot took, which
/// no check of the plan judges.
const IGNORED_OF_HOST: [&str; 5] =
    ["order", "downtime_ms", "ended_ms", "left_ms", "ready_after_ms"];
/// So far away a deadline is as good as none, in milliseconds: no history lasts that long.
const FAR_MS: u64 = 900_000;
/// Causes of a reset that count alike everywhere, and differ in words only.
const SAME_CAUSE: [&str; 2] = ["unknown", "watchdog"];

/// Takes what machines print.
#[derive(Debug)]
pub struct Print {
    hasher: DefaultHasher,
    names: Vec<u64>,
    now_ms: u64,
    /// The engine's own clock, while an engine is printed.
    uptime_ms: Option<u64>,
    token: String,
    field: String,
    depth: u32,
    /// Nothing counts until this depth is left, or its next field begins.
    ignored: Option<u32>,
    in_text: bool,
    escaped: bool,
}

impl Print {
    /// Of a state at this time.
    pub fn new(now_ms: u64) -> Self {
        Self {
            hasher: DefaultHasher::new(),
            names: Vec::new(),
            now_ms,
            uptime_ms: None,
            token: String::new(),
            field: String::new(),
            depth: 0,
            ignored: None,
            in_text: false,
            escaped: false,
        }
    }

    /// Adds a machine that dates things by the host's clock.
    pub fn add(&mut self, machine: &impl Debug) {
        let _ = write!(self, "{machine:?};");
    }

    /// Adds an engine, which dates things by its own.
    pub fn add_engine(&mut self, engine: &impl Debug, uptime_ms: u64) {
        self.uptime_ms = Some(uptime_ms);
        self.add(engine);
        self.uptime_ms = None;
    }

    /// Adds what is no machine.
    pub fn add_value(&mut self, value: &impl Hash) {
        value.hash(&mut self.hasher);
    }

    /// Adds what was printed before: its number, and its names in the order in which they came up there.
    pub fn add_printed(&mut self, number: u64, names: &[u64]) {
        self.add_value(&number);
        for name in names {
            self.number(*name);
        }
    }

    /// The number so far.
    pub fn so_far(&self) -> u64 {
        self.hasher.finish()
    }

    /// The number, and the names in the order in which they came up.
    pub fn finish(self) -> (u64, Vec<u64>) {
        (self.hasher.finish(), self.names)
    }

    fn end_token(&mut self, is_field: bool) {
        let token = std::mem::take(&mut self.token);
        if is_field {
            let ignored: &[&str] =
                if self.uptime_ms.is_some() { &IGNORED_OF_ENGINE } else { &IGNORED_OF_HOST };
            // When an attempt began that is over: its reason stands before it.
            let is_past = self.field == "reason" && token == "started_ms";
            if self.ignored.is_none() && (is_past || ignored.contains(&token.as_str())) {
                self.ignored = Some(self.depth);
            }
            self.field.clone_from(&token);
        }
        if self.ignored.is_none() && !token.is_empty() {
            match token.parse::<u64>() {
                Ok(number) => self.number(number),
                Err(_) if token.eq_ignore_ascii_case(SAME_CAUSE[0]) => {
                    self.hasher.write(b"Watchdog");
                }
                Err(_) => self.hasher.write(token.as_bytes()),
            }
        }
        self.token = token;
        self.token.clear();
    }

    fn end_text(&mut self) {
        if self.ignored.is_none() {
            let [one, other] = SAME_CAUSE;
            self.hasher.write(self.token.replace(one, other).as_bytes());
        }
        self.token.clear();
    }

    fn number(&mut self, number: u64) {
        let is_one_of = |first: u64| (first..first + NAMES).contains(&number);
        if is_one_of(FIRST_NONCE)
            || is_one_of(u64::from(FIRST_SESSION))
            || is_one_of(u64::from(FIRST_TRIAL))
        {
            let known = self.names.iter().position(|name| *name == number);
            let index = known.unwrap_or(self.names.len());
            if known.is_none() {
                self.names.push(number);
            }
            (b'n', index).hash(&mut self.hasher);
        } else if is_one_of(u64::from(FIRST_REQUEST)) {
            b'r'.hash(&mut self.hasher);
        } else if (BEGIN_MS..LATEST_MS).contains(&number) {
            let until_ms = number.wrapping_sub(self.now_ms);
            let is_far = (FAR_MS..BEGIN_MS).contains(&until_ms);
            (b't', if is_far { FAR_MS } else { until_ms }).hash(&mut self.hasher);
        } else if let Some(uptime_ms) = self.uptime_ms {
            self.engine_number(number, uptime_ms);
        } else {
            number.hash(&mut self.hasher);
        }
    }

    fn engine_number(&mut self, number: u64, uptime_ms: u64) {
        let ago_ms = uptime_ms.saturating_sub(number);
        let counts = match self.field.as_str() {
            "now_ms" => number.min(STALE_MS),
            "last_ms" => ago_ms.min(STALE_MS),
            "started_ms" | "renewed_ms" => ago_ms,
            "reset_at_ms" | "retry_at_ms" | "end_at_ms" => number.saturating_sub(uptime_ms),
            _ => number,
        };
        counts.hash(&mut self.hasher);
    }
}

impl fmt::Write for Print {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            if self.in_text {
                let ends = byte == b'"' && !self.escaped;
                self.escaped = byte == b'\\' && !self.escaped;
                self.in_text = !ends;
                self.token.push(char::from(byte));
                if ends {
                    self.end_text();
                }
                continue;
            }
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' => {
                    self.token.push(char::from(byte));
                    continue;
                }
                b' ' => continue,
                _ => self.end_token(byte == b':'),
            }
            match byte {
                b'{' | b'(' | b'[' => self.depth += 1,
                b'}' | b')' | b']' => {
                    self.depth = self.depth.saturating_sub(1);
                    self.ignored = self.ignored.filter(|depth| *depth <= self.depth);
                }
                b',' => self.ignored = self.ignored.filter(|depth| *depth < self.depth),
                b'"' => self.in_text = true,
                _ => {}
            }
            if self.ignored.is_none() {
                self.hasher.write_u8(byte);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a printed machine comes to at a time.
    fn at(now_ms: u64, text: &str) -> u64 {
        let mut print = Print::new(now_ms);
        print.add(&format_args!("{text}"));
        print.finish().0
    }

    fn of(text: &str) -> u64 {
        at(BEGIN_MS, text)
    }

    fn engine(uptime_ms: u64, text: &str) -> u64 {
        let mut print = Print::new(BEGIN_MS);
        print.add_engine(&format_args!("{text}"), uptime_ms);
        print.finish().0
    }

    #[test]
    fn names_count_by_the_order_in_which_they_come_up() {
        let (one, other) = (FIRST_TRIAL + 3, FIRST_TRIAL + 9);
        assert_eq!(
            of(&format!("[{one}, {other}, {one}]")),
            of(&format!("[{other}, {one}, {other}]"))
        );
        assert_ne!(
            of(&format!("[{one}, {other}, {one}]")),
            of(&format!("[{one}, {other}, {other}]"))
        );
        for first in [FIRST_NONCE, u64::from(FIRST_SESSION), u64::from(FIRST_TRIAL)] {
            assert_eq!(of(&format!("({first}, 1)")), of(&format!("({}, 1)", first + 7)));
            assert_ne!(of(&format!("({first}, 1)")), of(&format!("({first}, {first})")));
        }
        // Any other number is itself.
        assert_ne!(of("Some(3)"), of("Some(4)"));
    }

    #[test]
    fn a_request_is_any_request_and_no_other_number() {
        let request = u64::from(FIRST_REQUEST);
        assert_eq!(of(&format!("{request}")), of(&format!("{}", request + 77)));
        assert_ne!(of(&format!("{request}")), of("7"));
    }

    #[test]
    fn a_date_counts_by_how_far_it_is_from_now() {
        let date = |ms: u64| format!("until_ms: {}", BEGIN_MS + ms);
        assert_eq!(at(BEGIN_MS, &date(500)), at(BEGIN_MS + 200, &date(700)));
        assert_ne!(at(BEGIN_MS, &date(500)), at(BEGIN_MS, &date(501)));
        // So far away that it never comes.
        assert_eq!(at(BEGIN_MS, &date(FAR_MS)), at(BEGIN_MS, &date(FAR_MS + 1)));
        assert_ne!(at(BEGIN_MS, &date(FAR_MS)), at(BEGIN_MS, &date(FAR_MS - 1)));
        // One that is over is not far away.
        let now_ms = BEGIN_MS + 5_000;
        assert_ne!(at(now_ms, &date(0)), at(now_ms, &date(5_000 + FAR_MS)));
        assert_ne!(at(now_ms, &date(0)), at(now_ms, &date(1)));
    }

    #[test]
    fn an_engine_dates_by_its_own_clock() {
        let of =
            |uptime_ms, field: &str, ms: u64| engine(uptime_ms, &format!("{{ {field}: {ms} }}"));
        for field in
            ["started_ms", "renewed_ms", "last_ms", "reset_at_ms", "retry_at_ms", "end_at_ms"]
        {
            // Both clocks go on, so nothing is nearer than before.
            assert_eq!(of(900, field, 800), of(1_900, field, 1_800), "{field}");
        }
        for field in ["started_ms", "renewed_ms", "last_ms"] {
            assert_ne!(of(900, field, 400), of(900, field, 401), "{field}");
        }
        for field in ["reset_at_ms", "retry_at_ms", "end_at_ms"] {
            assert_ne!(of(900, field, 1_000), of(900, field, 1_001), "{field}");
            assert_eq!(of(900, field, 100), of(900, field, 200), "{field}: both are over");
        }
        // A session that is silent for longer than it is kept is only that; so is a boot.
        let silent = |silent_ms| of(silent_ms, "last_ms", 0);
        assert_eq!(silent(STALE_MS), silent(STALE_MS + 1));
        assert_ne!(silent(STALE_MS), silent(STALE_MS - 1));
        assert_eq!(of(0, "now_ms", STALE_MS), of(0, "now_ms", STALE_MS + 1));
        assert_ne!(of(0, "now_ms", STALE_MS), of(0, "now_ms", STALE_MS - 1));
        assert_eq!(of(0, "boots", 3), of(9, "boots", 3), "what is no date");
    }

    /// A field that does not count takes everything in it along, and nothing behind it.
    #[test]
    fn what_is_ignored_ends_with_its_field() {
        let is_same = |one: &str, other: &str| engine(0, one) == engine(0, other);
        assert!(is_same("S { erases: 3, boots: 1 }", "S { erases: 4, boots: 1 }"));
        assert!(!is_same("S { erases: 3, boots: 1 }", "S { erases: 3, boots: 2 }"));
        assert!(is_same(
            "S { flash: F { a: [1, 2], b: 1 }, c: 1 }",
            "S { flash: F { a: [], b: 2 }, c: 1 }"
        ));
        assert!(!is_same("S { flash: F { a: 1 }, c: 1 }", "S { flash: F { a: 1 }, c: 2 }"));
        assert!(!is_same("S { flash: F { a: 1 } }, 1", "S { flash: F { a: 1 } }, 2"));
        // A host's field of the same name counts.
        assert_ne!(of("S { erases: 3 }"), of("S { erases: 4 }"));
        assert_eq!(of("S { downtime_ms: 3 }"), of("S { downtime_ms: 4 }"));
    }

    /// What was printed before counts as that, and its names go on being the names that they were.
    #[test]
    fn what_was_printed_before_keeps_its_names() {
        let names = [FIRST_NONCE + 4, FIRST_NONCE + 2];
        let behind = |number: u64, names: &[u64], text: &str| {
            let mut print = Print::new(BEGIN_MS);
            print.add_printed(number, names);
            print.add(&format_args!("{text}"));
            print.finish().0
        };
        let same = [FIRST_NONCE + 9, FIRST_NONCE + 1];
        let (one, other) = (names[1].to_string(), same[1].to_string());
        assert_eq!(behind(1, &names, &one), behind(1, &same, &other));
        assert_ne!(behind(1, &names, &one), behind(1, &names, &names[0].to_string()));
        assert_ne!(behind(1, &names, &one), behind(2, &names, &one));
    }

    /// A reset that came about tells when its attempt began, which is over.
    #[test]
    fn a_date_behind_a_reason_is_past() {
        let date = |ms: u64| of(&format!("A {{ reason: Late, started_ms: {ms} }}"));
        assert_eq!(date(1), date(2));
        assert_ne!(of("A { started_ms: 1 }"), of("A { started_ms: 2 }"));
    }

    #[test]
    fn texts_count_whatever_stands_in_them() {
        assert_ne!(of(r#"S { text: "a, erases: 3" }"#), of(r#"S { text: "a, erases: 4" }"#));
        assert_ne!(of(r#"("a\"b", 1)"#), of(r#"("a\"b", 2)"#));
        assert_ne!(of(r#"("a", "b")"#), of(r#"("ab", "")"#));
        assert_eq!(of(r#""by unknown""#), of(r#""by watchdog""#));
        assert_eq!(of("Some(Unknown)"), of("Some(Watchdog)"));
        assert_ne!(of("Some(Unknown)"), of("Some(PowerOn)"));
    }
}
