//! What everything that reads foreign bytes is fed with: any bytes at all (TESTING.md, "Fuzzing").
//!
//! A target takes bytes and panics when something does not hold that has to hold of all bytes. `tests/fuzz` drives these
//! with libFuzzer; `tests/tests/fuzz_corpora.rs` replays what it has found worth keeping.

mod device;
mod documents;
mod files;
mod host;
mod mutate;
mod seeds;
mod wire;

pub use self::mutate::changed;
pub use self::seeds::{Seed, seeds};

/// Something that takes foreign bytes.
#[derive(Clone, Copy)]
pub struct Target {
    /// Its name, and that of the folder of its corpus.
    pub name: &'static str,
    /// What it does with them; true when they got past the first look.
    pub run: fn(&[u8]) -> bool,
}

/// All of them.
pub const TARGETS: [Target; 18] = [
    Target { name: "frame", run: wire::frame },
    Target { name: "message", run: wire::message },
    Target { name: "handshake", run: wire::handshake },
    Target { name: "envelope", run: documents::envelope },
    Target { name: "manifest", run: documents::manifest },
    Target { name: "root_record", run: documents::root_record },
    Target { name: "certificate", run: documents::certificate },
    Target { name: "delegation", run: documents::delegation },
    Target { name: "bench_reset", run: documents::bench_reset },
    Target { name: "device_link", run: device::link },
    Target { name: "device_flash", run: device::flash },
    Target { name: "host_link", run: host::link },
    Target { name: "bundle", run: files::bundle },
    Target { name: "plan", run: files::plan },
    Target { name: "record_file", run: files::record_file },
    Target { name: "signatures_file", run: files::signatures_file },
    Target { name: "boot_record_file", run: files::boot_record_file },
    Target { name: "scenario", run: files::scenario },
];

/// The target of this name.
///
/// # Panics
/// When there is none.
pub fn target(name: &str) -> Target {
    let found = TARGETS.into_iter().find(|target| target.name == name);
    found.unwrap_or_else(|| panic!("no fuzz target is named {name}"))
}
