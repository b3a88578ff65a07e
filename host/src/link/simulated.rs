//! A simulated device inside this process, in virtual time: the one place that knows the simulator.

use std::collections::VecDeque;
use std::path::Path;

use hw_sim::{DeviceConfig, SERIAL_PORT, Scenario, SimDevice};

use super::{LinkError, LinkStart};

/// A device and its clock.
#[derive(Debug)]
pub(super) struct SimulatedLink {
    device: SimDevice,
    now_us: u64,
    arrived: VecDeque<u8>,
}

impl SimulatedLink {
    pub(super) fn open(scenario: Option<&Path>, start: &LinkStart) -> Result<Self, LinkError> {
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
        let device = SimDevice::new(config).map_err(|error| failed(&error))?;
        Ok(Self { device, now_us: 0, arrived: VecDeque::new() })
    }

    pub(super) const fn now_us(&self) -> u64 {
        self.now_us
    }

    pub(super) fn send(&mut self, bytes: &[u8]) {
        self.device.receive(SERIAL_PORT, bytes, self.now_us);
    }

    /// Lets the device run until it says something, at most until `until_us`.
    pub(super) fn receive(&mut self, buffer: &mut [u8], until_us: u64) -> usize {
        loop {
            self.device.advance(self.now_us);
            self.arrived.extend(self.device.transmit(SERIAL_PORT));
            if !self.arrived.is_empty() || self.now_us >= until_us {
                break;
            }
            self.now_us =
                self.device.next_wake_us().max(self.now_us.saturating_add(1)).min(until_us);
        }
        let count = buffer.len().min(self.arrived.len());
        for (place, byte) in buffer.iter_mut().zip(self.arrived.drain(..count)) {
            *place = byte;
        }
        count
    }
}
