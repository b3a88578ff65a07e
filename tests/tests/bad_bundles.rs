//! Bad bundles from the shell: each gives one clear error with the next command and the right exit
//! code, and leaves device and files as they were.
#![expect(clippy::unwrap_used, reason = "clippy.toml excuses test functions, not their helpers")]

use std::fs;
use std::os::unix::fs::FileExt;

use integration::cli::wait_for;
use integration::flash;
use integration::simulator::{SimOptions, Simulator, wire_bytes};
use integration::site::{Release, STRANGER_KEY, Site, root_record};
use integration::source::contents;

/// A device with 1.0.1 on it, floor 1, and a bundle of 1.1.0 for it.
struct Bench {
    site: Site,
    device: Simulator,
    whole: Vec<u8>,
}

impl Bench {
    fn new() -> Self {
        let site = Site::new();
        let device = Simulator::start(&site, &SimOptions::pty());
        let _ = site.deploy(&site.bundle(&Release::new("1.0.1")), &device.address()).code(0);
        let path = site.bundle(&Release::new("1.1.0"));
        Self { whole: fs::read(path).unwrap(), site, device }
    }

    /// Deploys `bytes` as a bundle: the code, the words, and nothing changed anywhere.
    #[track_caller]
    fn refuses(&self, what: &str, bytes: &[u8], code: i32, words: &str) {
        let path = self.site.path("bad.nfb");
        fs::write(&path, bytes).unwrap();
        let flash = flash::whole(self.device.state());
        let trust = contents(&self.site.path("trust"));
        let ended = self.site.deploy("bad.nfb", &self.device.address());
        let ended = ended.code(code).says(words).says_not("panicked");
        assert!(format!("{}{}", ended.stderr, ended.stdout).contains("next"), "{what}: {ended:?}");
        if code == 2 {
            ended.is_one_clear_error();
        }
        assert!(flash::whole(self.device.state()) == flash, "{what}: the flash has changed");
        assert_eq!(fs::read(&path).unwrap(), bytes, "{what}: the bundle has changed");
        assert_eq!(
            contents(&self.site.path("trust")),
            trust,
            "{what}: the trust folder has changed"
        );
    }

    #[track_caller]
    fn refuses_release(&self, what: &str, release: &Release, code: i32, words: &str) {
        let bytes = fs::read(self.site.bundle(release)).unwrap();
        self.refuses(what, &bytes, code, words);
    }
}

#[test]
fn a_file_that_is_no_whole_bundle_is_refused_with_2_before_any_device_is_asked() {
    let bench = Bench::new();
    let whole = &bench.whole;
    let half = whole.len() / 2;
    bench.refuses("empty", b"", 2, "it ends inside its header: 16 bytes expected, 0 there");
    bench.refuses("header only", &whole[..16], 2, "is not a whole bundle");
    bench.refuses("truncated", &whole[..half], 2, "is not a whole bundle");
    bench.refuses("one byte short", &whole[..whole.len() - 1], 2, "is not a whole bundle");
    bench.refuses("one byte more", &[whole, &[0][..]].concat(), 2, "bad.nfb");
    bench.refuses("something else", b"PK\x03\x04 this is a zip archive, surely", 2, "bad.nfb");
    bench.refuses("a later format", &changed(whole, 8, 9), 2, "use the noflake release");
}

#[test]
fn a_flipped_bit_in_the_claims_breaks_the_signature_and_in_a_payload_its_digest() {
    let bench = Bench::new();
    let whole = &bench.whole;
    let in_claims = 16 + 21 + 3;
    bench.refuses("claims", &changed(whole, in_claims, whole[in_claims] ^ 1), 2, "bad.nfb");
    let in_app = whole.len() / 2;
    bench.refuses("payload", &changed(whole, in_app, whole[in_app] ^ 1), 2, "bad.nfb");
}

/// Both images have the same length, so only their digests tell that they changed places.
#[test]
fn payloads_in_another_order_are_found_by_their_digests() {
    let bench = Bench::new();
    let release = Release::new("1.1.0");
    let find =
        |image: &[u8]| bench.whole.windows(image.len()).position(|window| window == image).unwrap();
    let (a, b) = (find(&release.app[0]), find(&release.app[1]));
    let mut swapped = bench.whole.clone();
    swapped[a..a + release.app[0].len()].copy_from_slice(&release.app[1]);
    swapped[b..b + release.app[1].len()].copy_from_slice(&release.app[0]);
    bench.refuses("reordered", &swapped, 2, "app");
}

#[test]
fn an_unsigned_or_wrongly_signed_bundle_never_leaves_the_host_that_knows_the_root() {
    let bench = Bench::new();
    let stranger = Release::new("1.1.0").signed_by(STRANGER_KEY);
    let words = "0 of 1 needed signatures are by trusted keys and correct";
    bench.refuses_release("a stranger's", &stranger, 2, words);
    bench.refuses("unsigned", &without_signature(&bench.whole), 2, "signature");
}

/// A host that was given another root believes the stranger; the device does not.
#[test]
fn a_bundle_of_another_trust_folder_is_refused_by_the_device_with_5() {
    let bench = Bench::new();
    fs::write(bench.site.root(), root_record(STRANGER_KEY, STRANGER_KEY)).unwrap();
    let stranger = Release::new("1.1.0").signed_by(STRANGER_KEY);
    let words = "0 of 1 needed signatures are by trusted keys and correct";
    bench.refuses_release("a stranger's", &stranger, 5, words);
}

#[test]
fn what_is_well_signed_and_not_for_this_device_is_refused_with_5() {
    let bench = Bench::new();
    let new = || Release::new("1.1.0");
    let product = Release { product: "rover-arm".to_owned(), ..new() };
    bench.refuses_release(
        "product",
        &product,
        5,
        "for product rover-arm, the device is a rover-nav",
    );
    let hardware = Release { hardware: "nav-2".to_owned(), ..new() };
    bench.refuses_release("hardware", &hardware, 5, "nav-2 revision 1 to 9, the device is nav-1");
    let replayed = Release::new("0.9.0").security(0);
    bench.refuses_release(
        "replayed",
        &replayed,
        5,
        "security version 0 is below the device's floor 1",
    );
    let young = Release { from_version: Some("1.0.5".to_owned()), ..new() };
    bench.refuses_release("too far", &young, 5, "older than the oldest the bundle can come from");
    let large = Release::sized("1.1.0", (1 << 20) + 1);
    bench.refuses_release("oversized", &large, 5, "its area 1048576");
}

#[test]
fn a_bundle_that_is_missing_or_a_folder_is_named() {
    let bench = Bench::new();
    for (path, words) in [("none.nfb", "none.nfb"), ("trust", "trust")] {
        let ended = bench.site.deploy(path, &bench.device.address()).code(2).says(words);
        let _ = ended.says("error: ").says_not("panicked");
    }
}

fn changed(bytes: &[u8], at: usize, byte: u8) -> Vec<u8> {
    let mut changed = bytes.to_vec();
    changed[at] = byte;
    changed
}

/// The same bundle with the count of signatures at zero, and the header's length to match.
fn without_signature(bundle: &[u8]) -> Vec<u8> {
    const SIGNATURE_BYTES: u32 = 8 + 64;
    let length = u32::from_le_bytes(bundle[12..16].try_into().unwrap());
    let end = 16 + usize::try_from(length).unwrap();
    let signature = end - usize::try_from(SIGNATURE_BYTES).unwrap();
    let mut unsigned = bundle[..signature].to_vec();
    unsigned[signature - 1] = 0;
    unsigned[12..16].copy_from_slice(&(length - SIGNATURE_BYTES).to_le_bytes());
    unsigned.extend(&bundle[end..]);
    unsigned
}

/// A build that writes over the bundle while it is sent is found on the host, before the device is sent
/// a byte that was not signed.
#[test]
fn a_bundle_file_that_changes_while_it_is_sent_is_the_hosts_error_and_sent_no_further() {
    let overwrite =
        |file: &fs::File| file.write_all_at(&[0xA5; 16], file_bytes(file) - 2_000).unwrap();
    let cut = |file: &fs::File| file.set_len(file_bytes(file) - 2_000).unwrap();
    for change in [overwrite as fn(&fs::File), cut] {
        let site = Site::new();
        let device = Simulator::start(&site, &SimOptions { baud: 921_600, ..SimOptions::pty() });
        let release = Release::sized("1.1.0", 100_000);
        let bundle = site.bundle(&release);
        let host = site.start(&["deploy", &bundle, "-d", &device.address()]);
        wait_for("the transfer", || (wire_bytes(device.state()) >= 12_000).then_some(()));
        change(&fs::File::options().write(true).open(site.path(&bundle)).unwrap());
        let ended = host.wait().code(3).says("the bundle file changed while it was being sent");
        let sent = device.payload_bytes();
        assert!((1..release.payload_bytes()).contains(&sent), "{sent} bytes were sent: {ended:?}");
        assert_eq!(site.running_version(&device.address()), "1.0.0");
    }
}

fn file_bytes(file: &fs::File) -> u64 {
    file.metadata().unwrap().len()
}
