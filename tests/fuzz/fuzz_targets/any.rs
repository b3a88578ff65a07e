//! One binary for all targets: `FUZZ_TARGET` names the one that it drives, so that they are built once.
#![no_main]

use std::sync::OnceLock;

use integration::fuzz::{Target, target};
use libfuzzer_sys::fuzz_target;

fn driven() -> Target {
    static DRIVEN: OnceLock<Target> = OnceLock::new();
    *DRIVEN.get_or_init(|| {
        let name = std::env::var("FUZZ_TARGET").expect("FUZZ_TARGET names a target of integration::fuzz");
        target(&name)
    })
}

fuzz_target!(|bytes: &[u8]| {
    let _ = (driven().run)(bytes);
});
