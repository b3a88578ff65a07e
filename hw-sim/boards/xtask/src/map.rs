//! The board's memory, as its firmware has it.
#![expect(dead_code, unreachable_pub, reason = "the map is the firmware's, which is a library")]

include!("../../mps2-an385/src/map.rs");
