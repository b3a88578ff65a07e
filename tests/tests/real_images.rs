//! Real firmware: Debian's u-boot-qemu, two architectures as two versions, staged over a serial port
//! and over TCP, and read back from the flash file byte by byte.
#![expect(clippy::unwrap_used, reason = "clippy.toml excuses test functions, not their helpers")]

use std::env;
use std::fs;
use std::path::Path;

use integration::flash;
use integration::simulator::{SimOptions, Simulator};
use integration::site::{Release, Site};

/// Files that the package installs; both are larger than half a megabyte.
const FILES: [&str; 2] =
    ["/usr/lib/u-boot/qemu_arm64/u-boot.bin", "/usr/lib/u-boot/qemu-x86_64/u-boot.rom"];
const LEAST_BYTES: usize = 500_000;

/// The images, or `None` when the package is absent and somebody said aloud that this is well.
#[expect(clippy::print_stderr, reason = "a test that is skipped says so aloud")]
fn images() -> Option<[Vec<u8>; 2]> {
    if let Some(missing) = FILES.iter().find(|path| !Path::new(path).exists()) {
        let is_excused = env::var("NOFLAKE_SKIP_REAL_IMAGES").is_ok_and(|value| value == "1");
        assert!(
            is_excused,
            "{missing} is missing: apt-get install u-boot-qemu, or say NOFLAKE_SKIP_REAL_IMAGES=1"
        );
        eprintln!("SKIPPED, as NOFLAKE_SKIP_REAL_IMAGES=1 says: no real image was staged");
        return None;
    }
    let images = FILES.map(|path| fs::read(path).unwrap());
    for (image, path) in images.iter().zip(FILES) {
        assert!(image.len() > LEAST_BYTES, "{path} has {} bytes", image.len());
    }
    Some(images)
}

fn stage_both(options: &SimOptions) {
    let Some([arm, x86]) = images() else { return };
    let site = Site::new();
    let options = options.clone().scenario(
        "[device]\nareas = [{ name = \"app\", bytes = 2097152 }, { name = \"config\", bytes = 4096 }]\n",
    );
    let device = Simulator::start(&site, &options);
    let release = |version: &str, image: &[u8]| Release {
        app: [image.to_vec(), image.to_vec()],
        ..Release::new(version)
    };
    let (first, second) = (release("2.0.0", &arm), release("3.0.0", &x86));
    let _ = site.deploy(&site.bundle(&first), &device.address()).code(0);
    flash::assert_holds(device.state(), "B", "app", &arm);
    let _ = site.deploy(&site.bundle(&second), &device.address()).code(0);
    flash::assert_holds(device.state(), "A", "app", &x86);
    flash::assert_holds(device.state(), "B", "app", &arm);
    assert_eq!(site.running_version(&device.address()), "3.0.0");
    let against = ["device", "status", "-d", &device.address(), "--against", &site.bundle(&second)];
    let _ = site.noflake(&against).code(0).says("as in the bundle, every byte");
}

#[test]
fn are_staged_over_a_serial_port_byte_by_byte() {
    stage_both(&SimOptions::pty());
}

#[test]
fn are_staged_over_tcp_byte_by_byte() {
    stage_both(&SimOptions::tcp());
}
