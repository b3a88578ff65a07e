//! Gives each program its place in memory.

use std::env;
use std::fs;
use std::path::PathBuf;

#[expect(dead_code, unreachable_pub, reason = "the map is the firmware's, which is a library")]
mod map {
    include!("src/map.rs");
}

/// Where each program runs, with the room that it has, and the feature that it needs.
const PROGRAMS: [(&str, u32, u32, Option<&str>); 6] = [
    ("boot_stage", map::BOOT_STAGE, map::BOOT_STAGE_BYTES, None),
    ("recovery", map::RECOVERY, map::RECOVERY_BYTES, None),
    ("application", map::APPLICATION, map::APPLICATION_BYTES, None),
    ("template", map::APPLICATION, map::APPLICATION_BYTES, None),
    ("curve_time", map::BOOT_STAGE, map::RECOVERY, None),
    ("embassy", map::APPLICATION, map::APPLICATION_BYTES, Some("CARGO_FEATURE_EMBASSY")),
];

fn main() {
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    for (program, origin, length, feature) in PROGRAMS {
        // Cargo refuses arguments for a program that it does not build.
        if feature.is_some_and(|feature| env::var_os(feature).is_none()) {
            continue;
        }
        let folder = out.join(program);
        let memory = format!(
            "MEMORY {{\n  FLASH : ORIGIN = {origin:#010x}, LENGTH = {length:#x}\n  \
             RAM : ORIGIN = {:#010x}, LENGTH = {:#x}\n}}\n",
            map::RAM,
            map::RAM_BYTES
        );
        let written = fs::create_dir_all(&folder)
            .and_then(|()| fs::write(folder.join("memory.x"), memory))
            .and_then(|()| fs::write(folder.join("device.x"), ""));
        if let Err(error) = written {
            println!("cargo::error=cannot write the memory of {program}: {error}");
        }
        println!("cargo::rustc-link-arg-bin={program}=-L{}", folder.display());
    }
    println!("cargo::rustc-link-arg-bins=-Tlink.x");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=src/map.rs");
}
