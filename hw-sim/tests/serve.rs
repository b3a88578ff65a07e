//! The binary on a real PTY and a real socket, in real time.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    clippy::needless_pass_by_value,
    reason = "a helper waits for one answer and fails its test without it"
)]

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use firmware_protocol::frame::{Decoder, Framing, Header, Kind, Unit};
use firmware_protocol::message::{self, FromDevice, Reply, Request, ToDevice};
use rustix::process::{Pid, Signal, kill_process};

const PATIENCE: Duration = Duration::from_secs(10);

/// A running `hw-sim`, killed when the test ends.
struct Simulator {
    child: Child,
    ready: Vec<serde_json::Value>,
}

impl Simulator {
    fn start(arguments: &[&str], devices: usize) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_hw-sim"))
            .args(arguments)
            .args(["--format", "json"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let ready = lines.take(devices).map(|line| serde_json::from_str(&line.unwrap()).unwrap());
        Self { ready: ready.collect(), child }
    }

    fn tcp(&self, index: usize) -> Wire {
        let stream = TcpStream::connect(self.ready[index]["tcp"].as_str().unwrap()).unwrap();
        let reader = stream.try_clone().unwrap();
        Wire::new(Framing::Stream, Box::new(reader), Box::new(stream))
    }

    fn stop(mut self) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::TERM).unwrap();
        let end = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < end, "SIGTERM did not end the simulator within {PATIENCE:?}");
            thread::sleep(Duration::from_millis(5));
        };
        assert!(status.success(), "{status}");
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A host's end of a link.
struct Wire {
    framing: Framing,
    writer: Box<dyn Write>,
    bytes: Receiver<Vec<u8>>,
    decoder: Decoder<Vec<u8>>,
    asked: u32,
}

impl Wire {
    fn new(framing: Framing, mut reader: Box<dyn Read + Send>, writer: Box<dyn Write>) -> Self {
        let (sender, bytes) = mpsc::channel();
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = reader.read(&mut buffer) {
                if sender.send(buffer[..count].to_vec()).is_err() {
                    break;
                }
            }
        });
        Self { framing, writer, bytes, decoder: Decoder::new(framing, vec![0; 4096]), asked: 0 }
    }

    fn serial(path: &Path) -> Self {
        let port = File::options().read(true).write(true).open(path).unwrap();
        Self::new(Framing::Serial, Box::new(port.try_clone().unwrap()), Box::new(port))
    }

    /// Asks until the device answers, as a host does while a device boots.
    fn ask<R>(&mut self, request: Request<'_>, take: impl Fn(Reply<'_>) -> Option<R>) -> R {
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            self.send(request);
            while let Ok(bytes) = self.bytes.recv_timeout(Duration::from_millis(300)) {
                let mut rest = bytes.as_slice();
                while let Some(unit) = self.decoder.feed(&mut rest) {
                    let Unit::Frame(frame) = unit else { continue };
                    let (_, payload) = Header::split(frame).unwrap();
                    if let Some(FromDevice::Reply { reply: Ok(reply), .. }) =
                        message::decode(payload)
                        && let Some(taken) = take(reply)
                    {
                        return taken;
                    }
                }
            }
        }
        panic!("no answer to {request:?} within {PATIENCE:?}");
    }

    fn send(&mut self, request: Request<'_>) {
        self.asked += 1;
        let mut payload = [0; 256];
        let asked = ToDevice { id: self.asked, session: 0, request };
        let payload = message::encode(&asked, &mut payload).unwrap();
        let header = Header { kind: Kind::Message, sequence: self.asked };
        let mut wire = [0; 512];
        let len = self.framing.encode(header, payload, &mut wire).unwrap();
        self.writer.write_all(&wire[..len]).unwrap();
    }

    fn serial_number(&mut self) -> String {
        let version = self.ask(Request::Hello { min: 1, current: 1 }, |reply| match reply {
            Reply::Hello { version, .. } => Some(version),
            _ => None,
        });
        assert_eq!(version, 1);
        self.ask(Request::Identify, |reply| match reply {
            Reply::Identity(identity) => Some(identity.serial.to_owned()),
            _ => None,
        })
    }
}

#[test]
fn hosts_come_and_go_on_a_serial_port_and_the_link_leaves_with_the_simulator() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("port");
    let simulator = Simulator::start(&["--serial", path.to_str().unwrap()], 1);
    assert_eq!(simulator.ready[0]["serial_path"], path.to_str().unwrap());
    assert_eq!(Wire::serial(&path).serial_number(), "SIM-0001");
    assert_eq!(Wire::serial(&path).serial_number(), "SIM-0001");
    simulator.stop();
    assert!(path.symlink_metadata().is_err());
}

#[test]
fn two_connections_are_served_and_a_third_replaces_the_one_that_was_silent_longest() {
    let simulator = Simulator::start(&["--tcp", "127.0.0.1:0"], 1);
    let (mut first, mut second) = (simulator.tcp(0), simulator.tcp(0));
    for _ in 0..2 {
        assert_eq!(second.serial_number(), "SIM-0001");
        assert_eq!(first.serial_number(), "SIM-0001");
    }
    // Both have had their turn, whenever that is over.
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(first.serial_number(), "SIM-0001");
    assert_eq!(simulator.tcp(0).serial_number(), "SIM-0001");
    let closed = second.bytes.recv_timeout(PATIENCE);
    assert_eq!(closed, Err(mpsc::RecvTimeoutError::Disconnected));
    assert_eq!(first.serial_number(), "SIM-0001");
}

#[test]
fn many_devices_are_told_apart_by_port_and_serial_number() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("port");
    let arguments = ["--serial", path.to_str().unwrap(), "--tcp", "127.0.0.1:0", "--count", "3"];
    let simulator = Simulator::start(&arguments, 3);
    for index in 0..3 {
        let name = format!("SIM-0001-{index}");
        assert_eq!(simulator.tcp(index).serial_number(), name);
        let own = folder.path().join(format!("port-{index}"));
        assert_eq!(Wire::serial(&own).serial_number(), name);
    }
}

#[test]
fn a_paced_line_takes_its_time_and_little_more() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("port");
    let scenario = folder.path().join("scenario.toml");
    // 23,040 bytes of console are one second at 230,400 baud.
    let line = "x".repeat(1022);
    let lines = vec![format!("\"{line}\""); 22].join(",");
    let text = format!("schema = \"hwsim/1\"\n[[image]]\nversion = \"*\"\nconsole = [{lines}]\n");
    std::fs::write(&scenario, text).unwrap();
    let (path, scenario) = (path.to_str().unwrap(), scenario.to_str().unwrap());
    let _simulator =
        Simulator::start(&["--serial", path, "--scenario", scenario, "--baud", "230400"], 1);
    let wire = Wire::serial(Path::new(path));
    let (mut count, mut begun) = (0, None);
    while count < 22 * 1024 {
        count += wire.bytes.recv_timeout(PATIENCE).unwrap().len();
        begun.get_or_insert_with(Instant::now);
    }
    let took = begun.unwrap().elapsed();
    assert!((900..1200).contains(&took.as_millis()), "{took:?} for 22 KiB at 230,400 baud");
}

#[test]
fn a_killed_simulator_loses_no_counter_and_no_flash() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().to_str().unwrap();
    let arguments = ["--tcp", "127.0.0.1:0", "--state", state, "--seed", "3"];
    let mut simulator = Simulator::start(&arguments, 1);
    let mut wire = simulator.tcp(0);
    wire.serial_number();
    let nonce = |reply: Reply<'_>| match reply {
        Reply::Identity(identity) => Some(identity.boot_nonce),
        _ => None,
    };
    let before = wire.ask(Request::Identify, nonce);
    simulator.child.kill().unwrap();
    simulator.child.wait().unwrap();
    let simulator = Simulator::start(&arguments, 1);
    let after = simulator.tcp(0).ask(Request::Identify, nonce);
    assert_ne!(before, after, "the same seed must not repeat a boot");
    simulator.stop();
    let text = std::fs::read(folder.path().join("stats.json")).unwrap();
    let counted: serde_json::Value = serde_json::from_slice(&text).unwrap();
    assert_eq!(counted["slot_boots"]["a"], 2);
    assert!(counted["links"][1]["frames_in"].as_u64().unwrap() >= 4);
    assert!(folder.path().join("layout.toml").exists());
}

/// The counters of a state folder are a file that anybody may edit.
#[test]
fn counters_at_their_end_stay_there() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["--tcp", "127.0.0.1:0", "--state", folder.path().to_str().unwrap()];
    Simulator::start(&arguments, 1).stop();
    let counters = folder.path().join("counters.bin");
    let mut bytes = std::fs::read(&counters).unwrap();
    bytes[8..].fill(0xff);
    std::fs::write(&counters, bytes).unwrap();
    let stats = folder.path().join("stats.json");
    let text = std::fs::read_to_string(&stats).unwrap();
    let full = text.replace("_out\": 0", "_out\": 18446744073709551615");
    assert_ne!(full, text, "the counters are edited");
    std::fs::write(&stats, full).unwrap();
    let simulator = Simulator::start(&arguments, 1);
    assert_eq!(simulator.tcp(0).serial_number(), "SIM-0001");
    simulator.stop();
    let counted: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&stats).unwrap()).unwrap();
    for counter in ["bytes_in", "frames_in", "bytes_out", "frames_out"] {
        assert_eq!(counted["links"][1][counter], u64::MAX, "{counter}: {counted}");
    }
    assert_eq!(counted["slot_boots"]["a"], u64::MAX);
}

/// What stands where a simulator keeps a file of its own: pipes that nobody reads, links to others' files.
#[test]
fn a_pipe_or_a_link_in_a_state_folder_is_an_error_and_no_hang_and_no_foreign_file_is_touched() {
    let folder = tempfile::tempdir().unwrap();
    let (state, foreign) = (folder.path().join("state"), folder.path().join("foreign"));
    std::fs::write(&foreign, "foreign").unwrap();
    let path = state.to_str().unwrap();
    let arguments = ["--tcp", "127.0.0.1:0", "--state", path];
    let pipe = |path: &Path| {
        assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
    };
    let link = |path: &Path| std::os::unix::fs::symlink(&foreign, path).unwrap();
    for what in ["a pipe", "a symbolic link"] {
        let put = |path: &Path| if what == "a pipe" { pipe(path) } else { link(path) };
        for name in ["lock", "flash.bin", "counters.bin"] {
            let place = state.join(name);
            drop(std::fs::remove_dir_all(&state));
            Simulator::start(&arguments, 1).stop();
            std::fs::remove_file(&place).unwrap();
            put(&place);
            let (code, said) = refused(&arguments);
            assert_eq!(code, Some(3), "{name}: {said}");
            let problem = format!("{}: it is {what}", place.display());
            assert!(said.contains(&problem), "{name}: {said}");
        }
        // What a killed simulator leaves half done is made anew, whatever it is.
        std::fs::remove_dir_all(&state).unwrap();
        std::fs::create_dir(&state).unwrap();
        for name in ["flash.bin.new", "layout.new"] {
            put(&state.join(name));
        }
        let simulator = Simulator::start(&arguments, 1);
        // Put there while it runs, it meets the last word that SIGTERM asks for.
        put(&state.join("stats.new"));
        simulator.stop();
        assert!(state.join("stats.json").is_file());
    }
    assert_eq!(std::fs::read_to_string(&foreign).unwrap(), "foreign");
}

#[test]
fn a_link_or_a_pipe_beside_the_serial_path_is_an_error_and_the_foreign_file_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let (port, foreign) = (folder.path().join("port"), folder.path().join("foreign"));
    let lock = folder.path().join("port.lock");
    std::fs::write(&foreign, "foreign").unwrap();
    std::os::unix::fs::symlink(&foreign, &lock).unwrap();
    let arguments = ["--serial", port.to_str().unwrap()];
    let problem = format!("{}: it is a symbolic link", lock.display());
    let (code, said) = refused(&arguments);
    assert!(code == Some(3) && said.contains(&problem), "{code:?} {said}");
    assert_eq!(std::fs::read_to_string(&foreign).unwrap(), "foreign");
    std::fs::remove_file(&lock).unwrap();
    assert!(Command::new("mkfifo").arg(&lock).status().unwrap().success());
    let problem = format!("{}: it is a pipe", lock.display());
    let (code, said) = refused(&arguments);
    assert!(code == Some(3) && said.contains(&problem), "{code:?} {said}");
}

/// Runs a simulator that must not start; gives its exit code and what it said.
fn refused(arguments: &[&str]) -> (Option<i32>, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_hw-sim"))
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let end = Instant::now() + PATIENCE;
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > end {
            child.kill().unwrap();
        }
        thread::sleep(Duration::from_millis(5));
    }
    let ended = child.wait_with_output().unwrap();
    (ended.status.code(), String::from_utf8(ended.stderr).unwrap())
}

#[test]
fn a_path_that_a_live_simulator_serves_is_refused_and_one_that_a_dead_one_left_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("port");
    let name = path.to_str().unwrap();
    let mut first = Simulator::start(&["--serial", name], 1);
    let owner = first.child.id();
    let target = std::fs::read_link(&path).unwrap();
    let (code, said) = refused(&["--serial", name]);
    assert_eq!(code, Some(3), "{said}");
    let problem = format!("{name}: another simulator serves it, process {owner}");
    assert!(said.contains(&problem), "{said}");
    assert!(said.contains(&format!("next: end that simulator with kill {owner}")), "{said}");
    assert_eq!(std::fs::read_link(&path).unwrap(), target, "the first one keeps its link");
    assert_eq!(Wire::serial(&path).serial_number(), "SIM-0001");

    first.child.kill().unwrap();
    first.child.wait().unwrap();
    assert!(path.is_symlink(), "a killed simulator leaves its link behind");
    let second = Simulator::start(&["--serial", name], 1);
    assert_eq!(Wire::serial(&path).serial_number(), "SIM-0001");
    second.stop();
}

/// What a dead simulator's link leads to may be another simulator's port by now.
#[test]
fn a_stale_link_to_a_port_that_serves_another_path_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (folder.path().join("one"), folder.path().join("other"));
    let _one = Simulator::start(&["--serial", one.to_str().unwrap()], 1);
    std::os::unix::fs::symlink(std::fs::read_link(&one).unwrap(), &other).unwrap();
    let _other = Simulator::start(&["--serial", other.to_str().unwrap()], 1);
    assert_ne!(std::fs::read_link(&one).unwrap(), std::fs::read_link(&other).unwrap());
    assert_eq!(Wire::serial(&other).serial_number(), "SIM-0001");
}

#[test]
fn a_scenario_or_root_record_that_never_ends_is_an_error_and_no_hang() {
    let folder = tempfile::tempdir().unwrap();
    let fifo = folder.path().join("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let long = folder.path().join("long");
    File::create(&long).unwrap().set_len(5 << 20).unwrap();
    let (fifo, long) = (fifo.to_str().unwrap(), long.to_str().unwrap());
    let folder = folder.path().to_str().unwrap();
    for flag in ["--scenario", "--root"] {
        for (path, problem) in [
            (fifo, "it is no regular file"),
            ("/dev/zero", "it is no regular file"),
            (folder, "it is no regular file"),
            (long, "it has 5242880 bytes, expected at most"),
        ] {
            let (code, said) = refused(&["--tcp", "127.0.0.1:0", flag, path]);
            assert!(code.is_some_and(|code| code != 0), "{flag} {path}: {code:?}, {said}");
            assert!(said.contains(path) && said.contains(problem), "{flag} {path}: {said}");
        }
    }
}

#[test]
fn a_scenario_that_an_error_quotes_cannot_steer_the_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hostile.toml");
    for text in ["a = \"\u{1b}[2J\u{202e}\"\n", "\"\\u001b[2J\\u202e\" = 1\n"] {
        std::fs::write(&path, text).unwrap();
        let arguments = ["--tcp", "127.0.0.1:0", "--scenario", path.to_str().unwrap()];
        let (code, said) = refused(&arguments);
        assert_eq!(code, Some(3), "{said}");
        assert!(said.contains("\\u{1b}[2J\\u{202e}") && said.contains("\n1 | "), "{said:?}");
        assert!(!said.contains(['\u{1b}', '\u{202e}']), "{said:?}");
    }
}
