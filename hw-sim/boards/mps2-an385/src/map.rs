// The board's memory, in one place: `build.rs` links by it, the firmware jumps by it, xtask loads by it.

/// Where the boot stage lies.
pub const BOOT_STAGE: u32 = 0x0000_0000;
/// Room for it.
pub const BOOT_STAGE_BYTES: u32 = 0x0001_0000;
/// Where the recovery image lies, which nothing on the board writes.
pub const RECOVERY: u32 = 0x0008_0000;
/// Room for it.
pub const RECOVERY_BYTES: u32 = 0x0004_0000;
/// Where the boot stage copies the version that it starts.
pub const APPLICATION: u32 = 0x0010_0000;
/// Room for it.
pub const APPLICATION_BYTES: u32 = 0x0008_0000;
/// Memory of a program: what one needs, the next one may overwrite.
pub const RAM: u32 = 0x2000_0000;
/// Its length. Behind it lies what outlives a reset.
pub const RAM_BYTES: u32 = 0x0001_ff00;
/// What outlives a reset: 256 bytes that no program is linked to.
pub const RETAINED: u32 = RAM + RAM_BYTES;
/// Memory that nothing uses but the check of it.
pub const SPARE_RAM: u32 = 0x2002_0000;
/// Length of the flash, in bytes.
pub const FLASH_BYTES: u32 = 0x0014_0000;
/// Its erase blocks, in bytes.
pub const FLASH_BLOCK_BYTES: u32 = 4096;
/// The last of them, which a check writes and nothing depends on.
pub const SPARE_FLASH: u32 = FLASH_BYTES - FLASH_BLOCK_BYTES;
