//! Bad lines: garbage and half frames before and during a deploy, and peers that answer nonsense,
//! nothing, or another protocol.

use integration::cli::wait_for;
use integration::peer::{self, Script};
use integration::random::{Random, seed};
use integration::raw::Raw;
use integration::simulator::{SimOptions, Simulator, wire_bytes};
use integration::site::{Release, Site};

#[test]
fn garbage_and_half_a_frame_before_a_deploy_cost_nothing_but_themselves() {
    let mut random = Random::new(seed("bad_lines", 77));
    let site = Site::new();
    let device = Simulator::start(&site, &SimOptions { serial: true, ..SimOptions::tcp() });
    let mut spoil = |mut raw: Raw| {
        raw.send_bytes(&random.bytes(3000));
        let frame = raw.frame(firmware_protocol::frame::Kind::Message, &[1, 2, 3, 4, 5, 6, 7, 8]);
        raw.send_bytes(&frame[..frame.len() - 3]);
    };
    spoil(Raw::serial(&device.port()));
    let first = site.bundle(&Release::new("1.1.0"));
    let _ = site.deploy(&first, &device.address()).code(0);
    spoil(Raw::tcp(&device.socket()));
    let second = site.bundle(&Release::new("1.2.0"));
    let _ = site.deploy(&second, &device.tcp_address()).code(0);
}

/// A noisy line spoils frames in both directions; the transfer sends them again.
#[test]
fn a_line_that_flips_and_drops_bytes_during_a_deploy_still_brings_every_byte() {
    let site = Site::new();
    let body = "[[link_fault]]\nkind = \"corrupt\"\nrate = 2e-5\n\
                [[link_fault]]\nkind = \"drop\"\nrate = 2e-5\n";
    let device = Simulator::start(&site, &SimOptions::pty().scenario(body));
    let release = Release::sized("1.1.0", 150_000);
    let _ = site.deploy(&site.bundle(&release), &device.address()).code(0);
    integration::flash::assert_holds(device.state(), "B", "app", &release.app[1]);
    let fired = device.stop()["fired"].clone();
    assert!(fired["corrupted_bits"].as_u64() > Some(0), "{fired}");
    assert!(fired["dropped_bytes"].as_u64() > Some(0), "{fired}");
}

/// Somebody else's bytes in the middle of a deploy, on a connection of their own.
#[test]
fn garbage_on_a_second_connection_during_a_deploy_changes_nothing() {
    let site = Site::new();
    let device = Simulator::start(&site, &SimOptions::tcp());
    let bundle = site.bundle(&Release::sized("1.1.0", 900_000));
    let host = site.start(&["deploy", &bundle, "-d", &device.address()]);
    wait_for("bytes on the line", || (wire_bytes(device.state()) > 20_000).then_some(()));
    let mut stranger = Raw::tcp(&device.socket());
    stranger.send_bytes(&[0xFF; 64]);
    let _ = host.wait().code(0).says_not("panicked");
    assert_eq!(site.running_version(&device.address()), "1.1.0");
}

#[test]
fn a_peer_that_is_no_device_gives_exit_3_with_what_to_check() {
    let site = Site::new();
    let plan = integration::site::QUICK_PLAN.replace("connect = \"20s\"", "connect = \"3s\"");
    let bundle = site.bundle(&Release::new("1.1.0").plan(&plan));
    let huge = u32::MAX.to_le_bytes().to_vec();
    for script in [
        Script::Silence,
        Script::HangUp,
        Script::OutOfTurn,
        Script::Bytes(b"SSH-2.0-OpenSSH_9.2\r\n".to_vec()),
        Script::Bytes(huge),
    ] {
        let told = format!("{script:?}");
        let address = peer::start(script);
        let ended = site.deploy(&bundle, &address).says_not("panicked");
        assert_eq!(ended.code, Some(3), "{told}: {ended:?}");
        let _ = ended.says("no device was reached").says("check cable, port, baud rate and power");
    }
}

#[test]
fn a_device_that_speaks_another_protocol_version_gives_exit_5_and_names_the_remedy() {
    let site = Site::new();
    let address = peer::start(Script::NewerProtocol);
    let _ = site
        .noflake(&["device", "identify", "-d", &address])
        .code(5)
        .says("the device speaks 7 to 9")
        .says("next: use the noflake release that fits the device's firmware");
    let bundle = site.bundle(&Release::new("1.1.0"));
    let deployed = site.deploy(&bundle, &address);
    let _ = deployed.code(5).says("the device speaks 7 to 9").says("next ");
}

#[test]
fn a_device_that_takes_up_a_version_it_was_not_offered_gives_exit_3_and_names_the_remedy() {
    let site = Site::new();
    let address = peer::start(Script::UnofferedVersion);
    let said = "the device speaks protocol version 9, this noflake 1 to 1";
    let remedy = "use the noflake release that fits the device's firmware";
    let identified = site.noflake(&["device", "identify", "-d", &address]);
    let _ = identified.code(3).says(said).says(remedy);
    let bundle = site.bundle(&Release::new("1.1.0"));
    let _ = site.deploy(&bundle, &address).code(3).says(said).says(remedy);
}

#[test]
fn an_address_where_nobody_listens_is_named_with_the_systems_reason() {
    let site = Site::new();
    let ended = site.noflake(&["device", "identify", "-d", "tcp:127.0.0.1:9"]).code(3);
    ended.says("127.0.0.1:9").says("refused").is_one_clear_error();
}
