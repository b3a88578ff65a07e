//! Runs `noflake sim`: simulated devices on real ports, and what their side has counted.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::cli;
use crate::site::Site;

/// Longest wait for a ready line.
const PATIENCE: Duration = Duration::from_secs(60);

/// How a simulator is started.
#[derive(Debug, Clone)]
pub struct SimOptions {
    /// With a serial port (a PTY).
    pub serial: bool,
    /// With a TCP port, at this address.
    pub tcp: Option<String>,
    /// Begins enrolled under the site's root record.
    pub enrolled: bool,
    /// Line rate; zero is unlimited.
    pub baud: u32,
    /// Scenario text, without its schema line.
    pub scenario: String,
    /// Name of the state folder within the site.
    pub state: String,
    /// Keeps nothing: its flash is memory, and counts nothing that outlives it.
    pub in_memory: bool,
    /// Bundle it runs from the factory.
    pub image: Option<PathBuf>,
    /// Devices.
    pub count: u16,
    /// Seed.
    pub seed: u64,
    /// How its supply fails, as `--power-cut` takes it.
    pub power_cut: Option<String>,
    /// More in its environment.
    pub environment: Vec<(&'static str, String)>,
}

impl Default for SimOptions {
    fn default() -> Self {
        Self {
            serial: false,
            tcp: Some("127.0.0.1:0".to_owned()),
            enrolled: true,
            baud: 0,
            scenario: String::new(),
            state: "device".to_owned(),
            in_memory: false,
            image: None,
            count: 1,
            seed: 7,
            power_cut: None,
            environment: Vec::new(),
        }
    }
}

impl SimOptions {
    /// A healthy device on TCP.
    pub fn tcp() -> Self {
        Self::default()
    }

    /// A healthy device on a PTY.
    pub fn pty() -> Self {
        Self { serial: true, tcp: None, ..Self::default() }
    }

    /// With this scenario.
    #[must_use]
    pub fn scenario(mut self, body: &str) -> Self {
        body.clone_into(&mut self.scenario);
        self
    }

    /// With its state in another folder of the site.
    #[must_use]
    pub fn state(mut self, name: &str) -> Self {
        name.clone_into(&mut self.state);
        self
    }

    /// In factory state: no root record yet.
    #[must_use]
    pub const fn factory(mut self) -> Self {
        self.enrolled = false;
        self
    }
}

/// A running simulator; killed when dropped.
#[derive(Debug)]
pub struct Simulator {
    child: Child,
    ready: Vec<Value>,
    state: PathBuf,
    count: u16,
    baud: u32,
}

impl Simulator {
    /// Starts one, and waits until every device of it can be reached.
    #[track_caller]
    pub fn start(site: &Site, options: &SimOptions) -> Self {
        let state = site.path(&options.state);
        let mut command = cli::noflake();
        command.args(["--format", "json", "sim"]);
        if !options.in_memory {
            command.arg("--state").arg(&state);
        }
        command.args(["--seed", &options.seed.to_string()]);
        command.args(["--count", &options.count.to_string()]);
        if options.serial {
            command.arg("--serial").arg(site.path(&format!("{}.port", options.state)));
            command.args(["--baud", &options.baud.to_string()]);
        }
        if let Some(address) = &options.tcp {
            command.args(["--tcp", address]);
        }
        if options.enrolled {
            command.arg("--root").arg(site.root());
        }
        if let Some(how) = &options.power_cut {
            command.args(["--power-cut", how]);
        }
        if let Some(image) = &options.image {
            command.arg("--image").arg(image);
        }
        command.envs(options.environment.iter().cloned());
        let scenario = site.scenario(&options.state, &options.scenario);
        command.arg("--scenario").arg(scenario).current_dir(site.folder());
        let child = command.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
        let mut simulator =
            Self { child, ready: Vec::new(), state, count: options.count, baud: options.baud };
        simulator.await_ready();
        simulator
    }

    #[track_caller]
    fn await_ready(&mut self) {
        let stdout = BufReader::new(self.child.stdout.take().unwrap());
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        for _ in 0..self.count {
            let line = lines.recv_timeout(PATIENCE).expect("the simulator says where it is");
            self.ready.push(serde_json::from_str(&line).unwrap());
        }
    }

    /// The first device's address as `-d` takes it: its serial port, else its TCP port.
    pub fn address(&self) -> String {
        self.address_of(0)
    }

    /// The address of device `index`.
    pub fn address_of(&self, index: usize) -> String {
        match self.ready[index]["serial_path"].as_str() {
            // A host adapts to the line rate that it is told: an unpaced line is told a high one.
            Some(path) if self.baud == 0 => format!("serial:{path}?baud=3000000"),
            Some(path) => format!("serial:{path}?baud={}", self.baud),
            None => self.tcp_address_of(index),
        }
    }

    /// The first device's address on TCP, as `-d` takes it.
    pub fn tcp_address(&self) -> String {
        self.tcp_address_of(0)
    }

    fn tcp_address_of(&self, index: usize) -> String {
        format!("tcp:{}", self.ready[index]["tcp"].as_str().unwrap())
    }

    /// The first device's `host:port`.
    pub fn socket(&self) -> String {
        self.ready[0]["tcp"].as_str().unwrap().to_owned()
    }

    /// The first device's serial port.
    pub fn port(&self) -> PathBuf {
        PathBuf::from(self.ready[0]["serial_path"].as_str().unwrap())
    }

    /// The first device's state folder.
    pub fn state(&self) -> &Path {
        &self.state
    }

    /// Component bytes that the device's side has counted so far, all ports together; survives kills.
    pub fn payload_bytes(&self) -> u64 {
        payload_bytes(&self.state)
    }

    /// Faults of flash and supply that have struck since it was started, as of the device's last start or
    /// reset.
    pub fn faults(&self) -> u64 {
        let stats = fs::read(self.state.join("stats.json")).unwrap_or_default();
        faults_in(&serde_json::from_slice(&stats).unwrap_or_default())
    }

    /// Ends it as Ctrl-C would, and gives the statistics it writes.
    #[track_caller]
    pub fn stop(mut self) -> Value {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        assert!(self.child.wait().unwrap().success(), "the simulator ends cleanly");
        let folder = if self.count > 1 { self.state.join("0") } else { self.state.clone() };
        serde_json::from_slice(&fs::read(folder.join("stats.json")).unwrap()).unwrap()
    }

    /// Memory of its process that is resident now, in KiB.
    pub fn resident_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// Kills it.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Faults of flash and supply in statistics, each counted once.
pub fn faults_in(stats: &Value) -> u64 {
    let faults = stats["fired"]["faults"].as_object();
    faults.into_iter().flat_map(|faults| faults.values()).filter_map(Value::as_u64).sum()
}

/// Component bytes that arrived at the device in `state`, over its whole life: `counters.bin`, which
/// is written with every piece of input, so that neither end has to live for it to be true.
pub fn payload_bytes(state: &Path) -> u64 {
    let word = |index: usize| counter(state, index);
    word(SERIAL_CHUNK_BYTES) + word(TCP_CHUNK_BYTES)
}

/// Bytes of any kind that arrived at the device in `state`.
pub fn wire_bytes(state: &Path) -> u64 {
    counter(state, SERIAL_BYTES) + counter(state, TCP_BYTES)
}

/// Starts of slot A's, slot B's and the recovery image.
pub fn boots(state: &Path) -> [u64; 3] {
    [0, 1, 2].map(|index| counter(state, index))
}

fn counter(state: &Path, index: usize) -> u64 {
    let Ok(bytes) = fs::read(state.join("counters.bin")) else { return 0 };
    let word = bytes.get(8 + index * 8..16 + index * 8);
    word.map_or(0, |word| u64::from_le_bytes(word.try_into().unwrap()))
}

// Places in counters.bin (hw-sim/src/state.rs).
const SERIAL_BYTES: usize = 3;
const SERIAL_CHUNK_BYTES: usize = 6;
const TCP_BYTES: usize = 7;
const TCP_CHUNK_BYTES: usize = 10;
