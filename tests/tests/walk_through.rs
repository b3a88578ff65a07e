//! README's walk-through as a new user types it, twice in a row: `init`, a simulator that does not
//! know the root yet, `device enroll`, `bundle create`, `deploy` over both links, `device status`.

use integration::cli::{Ended, run, wait_for};
use integration::simulator::{SimOptions, Simulator};
use integration::site::{Release, Site};

const PASSPHRASE: &str = "tide pool\n";

struct Folder(Site);

impl Folder {
    /// Below a site, whose configuration the folder's own hides.
    fn init(site: Site) -> Self {
        let init = ["init", "mine", "--passphrase-fd", "0"];
        let _ = run(site.folder(), PASSPHRASE, &init).code(0).says("next: cd mine, then noflake");
        Self(site)
    }

    fn run(&self, arguments: &[&str]) -> Ended {
        run(&self.0.path("mine"), PASSPHRASE, arguments)
    }

    fn create(&self, name: &str, version: &str) {
        let create = ["bundle", "create", "-o", name, "--bundle-version", version];
        let fd = ["--passphrase-fd", "0"];
        let _ = self.run(&[&create[..], &fd].concat()).code(0).says("About to sign this manifest");
    }
}

#[test]
fn a_new_user_gets_from_nothing_to_a_committed_release_on_both_links_twice_in_a_row() {
    let folder = Folder::init(Site::new());
    let options = SimOptions { serial: true, ..SimOptions::tcp().factory() };
    let device = Simulator::start(&folder.0, &options);
    let (serial, tcp) = (device.address(), device.tcp_address());
    let enroll = ["device", "enroll", "-d", &serial];
    let _ = folder.run(&enroll).code(0).says("took root record 1");
    let _ = folder.run(&enroll).code(0).says("was enrolled before with root record 1");
    for (name, version, link) in [("1.nfb", "1.1.0", &serial), ("2.nfb", "1.2.0", &tcp)] {
        folder.create(name, version);
        let done = format!("version {version} runs from slot ");
        let _ = folder.run(&["deploy", name, "-d", link]).code(0).says("committed").says(&done);
        let _ = folder.run(&["deploy", name, "-d", link]).code(0).says("found done");
    }
    let _ = folder
        .run(&["device", "status", "-d", &tcp])
        .code(0)
        .says("version 1.2.0")
        .says("slot A    admitted, confirmed")
        .says("slot B    admitted, ");
}

#[test]
fn a_second_inits_key_is_refused_by_the_device_with_exit_5() {
    let (first, second) = (Folder::init(Site::new()), Folder::init(Site::new()));
    let device = Simulator::start(&first.0, &SimOptions::tcp().factory());
    let _ = first.run(&["device", "enroll", "-d", &device.address()]).code(0);
    second.create("mine.nfb", "1.1.0");
    let deploy = ["deploy", "mine.nfb", "-d", &device.address()];
    let _ = second
        .run(&deploy)
        .code(5)
        .says("0 of 1 needed signatures are by trusted keys and correct")
        .says("next ");
    let enroll = ["device", "enroll", "-d", &device.address()];
    let _ = second.run(&enroll).code(5).says("enrolled under another root record");
    assert_eq!(first.0.running_version(&device.address()), "1.0.0");
}

#[test]
fn drift_of_one_byte_is_named_by_component_and_repaired_by_the_same_deploy() {
    let site = Site::new();
    let bundle = site.bundle(&Release::new("1.1.0"));
    let device = Simulator::start(&site, &SimOptions::pty());
    let _ = site.deploy(&bundle, &device.address()).code(0);
    device.kill();
    let flip =
        "[[flip]]\ncomponent = \"config\"\nslot = \"B\"\noffset = 3\nbit = 4\nafter_ms = 500\n";
    let device = Simulator::start(&site, &SimOptions::pty().scenario(flip));
    let address = device.address();
    let against = ["device", "status", "--against", &bundle, "-d", &address];
    let ended = wait_for("the flipped bit", || {
        let ended = site.noflake(&against);
        (ended.code != Some(0)).then_some(ended)
    });
    let _ = ended
        .code(1)
        .says("app              as in the bundle, every byte")
        .says("config           DRIFT: ")
        .says("next: noflake deploy this bundle: it repairs what differs");
    let _ = site.deploy(&bundle, &address).code(0).says("config differs from the bundle (drift)");
    let _ = site.noflake(&against).code(0).says_not("DRIFT");
}
