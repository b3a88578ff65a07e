//! A simulated device inside this process, in virtual time: the one place that knows the simulator.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::path::Path;
use std::rc::Rc;

use hw_sim::{DeviceConfig, Fault, SERIAL_PORT, Scenario, SimDevice, Tear};

use super::{LinkError, LinkStart};

/// A simulated device and its clock, which outlive the links to it.
#[derive(Debug, Clone)]
pub struct SimulatedDevice(Rc<RefCell<Timed>>);

#[derive(Debug)]
struct Timed {
    device: SimDevice,
    now_us: u64,
}

impl SimulatedDevice {
    /// A device whose clock begins now.
    #[must_use]
    pub fn new(device: SimDevice) -> Self {
        Self(Rc::new(RefCell::new(Timed { device, now_us: 0 })))
    }

    /// Time on its clock, in microseconds.
    #[must_use]
    pub fn now_us(&self) -> u64 {
        self.0.borrow().now_us
    }

    /// Lets time pass while nobody listens; what the device says meanwhile is lost.
    pub fn pass_us(&self, length_us: u64) {
        let until_us = self.now_us().saturating_add(length_us);
        while self.now_us() < until_us {
            self.0.borrow_mut().listen(until_us);
        }
    }

    /// Looks at the device, or does something to it.
    pub fn with<T>(&self, work: impl FnOnce(&mut SimDevice) -> T) -> T {
        work(&mut self.0.borrow_mut().device)
    }

    /// Operations of its flash, programs and erases, that lie behind it.
    #[must_use]
    pub fn flash_operations(&self) -> u64 {
        self.with(|device| device.flash().lock().counters().operations)
    }

    /// Lets its power fail inside this operation of flash, counted from 1 since the device was made; what that leaves of
    /// the operation follows from `seed`. Power returns by itself.
    pub fn fail_in(&self, operation: u64, seed: u64) {
        let cut = Fault::cut(operation, Tear::Seeded { seed });
        self.with(|device| device.flash().lock().set_fault(cut));
    }

    /// Takes a power failure back; false when it has struck.
    #[must_use]
    pub fn call_off_failure(&self) -> bool {
        self.with(|device| {
            let flash = device.flash();
            let mut flash = flash.lock();
            let waits = flash.awaits_fault();
            flash.clear_faults();
            waits
        })
    }

    /// Takes its power, for so long.
    pub fn power_off(&self, off_ms: u64) {
        self.with(|device| device.cut_power(off_ms));
    }

    /// Makes the device of a scenario.
    ///
    /// # Errors
    /// When the scenario cannot be used.
    pub(super) fn of_scenario(
        scenario: Option<&Path>,
        start: &LinkStart,
    ) -> Result<Self, LinkError> {
        let failed = |error: &(dyn std::error::Error + 'static)| LinkError::Simulated {
            reason: crate::causes::causes(error).join(": "),
        };
        let scenario = match scenario {
            Some(path) => Scenario::read(path).map_err(|error| failed(&error))?,
            None => Scenario::default(),
        };
        let config = DeviceConfig {
            scenario,
            seed: start.seed,
            root: start.root.clone(),
            ..DeviceConfig::default()
        };
        Ok(Self::new(SimDevice::new(config).map_err(|error| failed(&error))?))
    }
}

impl Timed {
    /// Lets the device run until it says something, at most until `until_us`.
    fn listen(&mut self, until_us: u64) -> Vec<u8> {
        loop {
            self.device.advance(self.now_us);
            let said = self.device.transmit(SERIAL_PORT);
            if !said.is_empty() || self.now_us >= until_us {
                return said;
            }
            self.now_us =
                self.device.next_wake_us().max(self.now_us.saturating_add(1)).min(until_us);
        }
    }
}

/// A link to a device in this process.
#[derive(Debug)]
pub(super) struct SimulatedLink {
    device: SimulatedDevice,
    arrived: VecDeque<u8>,
}

impl SimulatedLink {
    pub(super) fn open(scenario: Option<&Path>, start: &LinkStart) -> Result<Self, LinkError> {
        let device = match &start.device {
            Some(device) => device.clone(),
            None => SimulatedDevice::of_scenario(scenario, start)?,
        };
        Ok(Self { device, arrived: VecDeque::new() })
    }

    pub(super) fn now_us(&self) -> u64 {
        self.device.now_us()
    }

    pub(super) fn send(&self, bytes: &[u8]) {
        let Timed { device, now_us } = &mut *self.device.0.borrow_mut();
        device.receive(SERIAL_PORT, bytes, *now_us);
    }

    /// Lets the device run until it says something, at most until `until_us`.
    pub(super) fn receive(&mut self, buffer: &mut [u8], until_us: u64) -> usize {
        if self.arrived.is_empty() {
            self.arrived.extend(self.device.0.borrow_mut().listen(until_us));
        }
        let count = buffer.len().min(self.arrived.len());
        for (place, byte) in buffer.iter_mut().zip(self.arrived.drain(..count)) {
            *place = byte;
        }
        count
    }
}
