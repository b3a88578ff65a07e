//! Gives each program its place in memory.

use std::env;
use std::fs;
use std::path::PathBuf;

/// Where each program runs, with the room that it has: as `src/places.rs` says, which the boot stage jumps by.
const PROGRAMS: [(&str, u32, u32); 5] = [
    ("boot_stage", 0x0000_0000, 0x0001_0000),
    ("recovery", 0x0008_0000, 0x0004_0000),
    ("application", 0x0010_0000, 0x0008_0000),
    ("template", 0x0010_0000, 0x0008_0000),
    ("embassy", 0x0010_0000, 0x0008_0000),
];
/// The last 256 bytes outlive a reset (`src/retained.rs`).
const RAM_BYTES: u32 = 0x1_ff00;

fn main() {
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    for (program, origin, length) in PROGRAMS {
        let folder = out.join(program);
        let memory = format!(
            "MEMORY {{\n  FLASH : ORIGIN = {origin:#010x}, LENGTH = {length:#x}\n  \
             RAM : ORIGIN = 0x20000000, LENGTH = {RAM_BYTES:#x}\n}}\n"
        );
        let written = fs::create_dir_all(&folder)
            .and_then(|()| fs::write(folder.join("memory.x"), memory))
            .and_then(|()| fs::write(folder.join("device.x"), ""));
        if let Err(error) = written {
            println!("cargo::error=cannot write the memory of {program}: {error}");
        }
        if program != "embassy" || env::var_os("CARGO_FEATURE_EMBASSY").is_some() {
            println!("cargo::rustc-link-arg-bin={program}=-L{}", folder.display());
        }
    }
    println!("cargo::rustc-link-arg-bins=-Tlink.x");
    println!("cargo::rerun-if-changed=build.rs");
}
