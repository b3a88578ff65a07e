//! A TCP cable between host and device that counts, listens, and can be stalled or cut at a byte, or have somebody on it
//! who meddles with frames ([`Tap`]).

use std::borrow::Cow;
use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use hw_sim::{Tap, Way};

/// Longest wait for a byte that must come.
const PATIENCE: Duration = Duration::from_secs(60);

/// What happens at the chosen byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// Nothing: the cable is good.
    Nothing,
    /// Nothing more passes to the device; the connection stays.
    Stall(u64),
    /// The connection ends, once; later ones are good.
    Cut(u64),
}

/// The cable.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    reached: mpsc::Receiver<()>,
}

#[derive(Debug)]
struct Shared {
    device: String,
    at: Mutex<At>,
    to_device: AtomicU64,
    is_cut: AtomicBool,
    /// Every byte that has passed, both ways.
    heard: Mutex<Vec<u8>>,
    /// Ends of the connections there have been, for the one who cuts.
    ends: Mutex<Vec<TcpStream>>,
    reached: mpsc::Sender<()>,
    /// For the connections to come, one each.
    taps: Mutex<VecDeque<Arc<Mutex<Tap>>>>,
}

impl Proxy {
    /// A cable to the device at `device` (`host:port`), with something to happen `at` a byte from host
    /// to device, counted over all connections.
    pub fn start(device: &str, at: At) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (sender, reached) = mpsc::channel();
        let shared = Arc::new(Shared {
            device: device.to_owned(),
            at: Mutex::new(at),
            to_device: AtomicU64::new(0),
            is_cut: AtomicBool::new(false),
            heard: Mutex::default(),
            ends: Mutex::default(),
            reached: sender,
            taps: Mutex::default(),
        });
        let address = listener.local_addr().unwrap();
        let serving = Arc::clone(&shared);
        thread::spawn(move || {
            for host in listener.incoming().map_while(Result::ok) {
                let shared = Arc::clone(&serving);
                thread::spawn(move || shared.serve(&host));
            }
        });
        Self { address, shared, reached }
    }

    /// Its host end, as `-d` takes it.
    pub fn address(&self) -> String {
        format!("tcp:{}", self.address)
    }

    /// Its host end, as `host:port`.
    pub fn socket(&self) -> String {
        self.address.to_string()
    }

    /// Waits until the chosen byte has passed.
    #[track_caller]
    pub fn await_reached(&self) {
        let reached = self.reached.recv_timeout(PATIENCE);
        assert!(reached.is_ok(), "the chosen byte never came: {} did", self.to_device());
    }

    /// Bytes from host to device so far.
    pub fn to_device(&self) -> u64 {
        self.shared.to_device.load(Ordering::SeqCst)
    }

    /// Every byte that has passed so far, both ways.
    pub fn heard(&self) -> Vec<u8> {
        self.shared.heard.lock().unwrap().clone()
    }

    /// Puts a tap on the next connection that has none yet; it can be asked meanwhile and afterwards.
    pub fn tap_next(&self, tap: Tap) -> Arc<Mutex<Tap>> {
        let tap = Arc::new(Mutex::new(tap));
        self.shared.taps.lock().unwrap().push_back(Arc::clone(&tap));
        tap
    }

    /// Plugs it in again after a cut.
    pub fn plug_in(&self) {
        self.shared.is_cut.store(false, Ordering::SeqCst);
    }

    /// Cuts it now: every connection ends, and no later one reaches the device.
    pub fn cut_for_good(&self) {
        self.shared.is_cut.store(true, Ordering::SeqCst);
        for end in self.shared.ends.lock().unwrap().drain(..) {
            let _ = end.shutdown(Shutdown::Both);
        }
    }
}

impl Shared {
    fn serve(&self, host: &TcpStream) {
        if self.is_cut.load(Ordering::SeqCst) {
            return;
        }
        let Ok(device) = TcpStream::connect(&self.device) else { return };
        let ends = [host.try_clone(), device.try_clone()];
        self.ends.lock().unwrap().extend(ends.into_iter().flatten());
        let _ = (host.set_nodelay(true), device.set_nodelay(true));
        let tap = self.taps.lock().unwrap().pop_front();
        let tap = tap.as_deref();
        thread::scope(|scope| {
            scope.spawn(|| {
                self.copy(&device, host, tap);
                let _ = host.shutdown(Shutdown::Both);
                let _ = device.shutdown(Shutdown::Both);
            });
            self.forward(host, &device, tap);
            let _ = device.shutdown(Shutdown::Both);
            let _ = host.shutdown(Shutdown::Both);
        });
    }

    fn forward(&self, mut host: &TcpStream, mut device: &TcpStream, tap: Option<&Mutex<Tap>>) {
        let mut buffer = vec![0; 16 * 1024];
        while let Ok(read @ 1..) = host.read(&mut buffer) {
            let piece = meddled(tap, Way::ToDevice, &buffer[..read]);
            let count = piece.len();
            let at = *self.at.lock().unwrap();
            let before = self.to_device.load(Ordering::SeqCst);
            let limit = match at {
                At::Nothing => u64::MAX,
                At::Stall(limit) | At::Cut(limit) => limit,
            };
            let room = usize::try_from(limit.saturating_sub(before)).unwrap_or(usize::MAX);
            let passed = count.min(room);
            if device.write_all(&piece[..passed]).is_err() {
                return;
            }
            self.heard.lock().unwrap().extend(&piece[..passed]);
            self.to_device.fetch_add(passed as u64, Ordering::SeqCst);
            if passed < count {
                let _ = self.reached.send(());
                if matches!(at, At::Cut(_)) {
                    *self.at.lock().unwrap() = At::Nothing;
                    return;
                }
                // Stalled: swallows the rest until the host goes away.
                while matches!(host.read(&mut buffer), Ok(1..)) {}
                return;
            }
        }
    }

    fn copy(&self, mut from: &TcpStream, mut to: &TcpStream, tap: Option<&Mutex<Tap>>) {
        let mut buffer = vec![0; 16 * 1024];
        while let Ok(read @ 1..) = from.read(&mut buffer) {
            let piece = meddled(tap, Way::ToHost, &buffer[..read]);
            self.heard.lock().unwrap().extend(piece.iter());
            if to.write_all(&piece).is_err() {
                return;
            }
        }
    }
}

/// What goes on of bytes that have come.
fn meddled<'a>(tap: Option<&Mutex<Tap>>, way: Way, bytes: &'a [u8]) -> Cow<'a, [u8]> {
    tap.map_or(Cow::Borrowed(bytes), |tap| tap.lock().unwrap().pass(way, bytes).into())
}
