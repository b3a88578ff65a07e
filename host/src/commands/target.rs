//! Which devices a command works with.

use std::path::Path;

use firmware_protocol::refusal::Refusal;
use tokio::sync::watch;

use super::PassphraseArgs;
use super::host_key::HostKeyArgs;
use crate::bench::{Device, DeviceError, HostIdentity, Meets, Opened, Opening, Shows, Waiting};
use crate::cli::Context;
use crate::error::CommandError;
use crate::link::{Address, Link, LinkStart};
use crate::trust::LoadedRoot;

/// Patience with a device that a person waits for, in milliseconds.
pub(super) const CONNECT_MS: u64 = 8_000;

/// The manners of a command that only looks.
pub(super) const LOOKS: (Meets, Shows) = (Meets::Known, Shows::KeptBack);

/// Devices of a command.
#[derive(Debug, clap::Args)]
pub(super) struct TargetArgs {
    /// Device: serial:PATH?baud=N, tcp:HOST:PORT, sim: or sim:SCENARIO; again for more devices
    /// [default: `devices` of noflake.toml]
    #[arg(short, long = "device", value_name = "ADDRESS")]
    devices: Vec<String>,
    /// Take the device from another host that is working on it
    #[arg(long)]
    take_over: bool,
    /// Seed of a simulated device
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    host: HostKeyArgs,
}

impl TargetArgs {
    /// Every device that is named, by the command line or the configuration.
    ///
    /// # Errors
    /// When none is named, or a name is no address.
    pub(super) fn openings(
        &self,
        context: &Context,
        root: Option<&LoadedRoot>,
    ) -> Result<Vec<Opening>, CommandError> {
        self.openings_for((Meets::Known, Shows::Needed), context, root)
    }

    fn openings_for(
        &self,
        manners: (Meets, Shows),
        context: &Context,
        root: Option<&LoadedRoot>,
    ) -> Result<Vec<Opening>, CommandError> {
        let names = match self.devices.as_slice() {
            [] => context.config()?.devices,
            named => named.to_vec(),
        };
        let (what, flag, key) = ("device", "--device", "devices");
        if names.is_empty() {
            return Err(CommandError::NotNamed { what, flag, key });
        }
        let host = self.host.identity(manners, context)?;
        let openings: Vec<Opening> = names
            .iter()
            .map(|name| self.opening(name, root, host.clone()))
            .collect::<Result<_, _>>()?;
        // Simulated devices are made anew for each name; every other address is one device.
        for (index, opening) in openings.iter().enumerate() {
            let is_twice = openings.iter().skip(index.saturating_add(1)).any(|later| {
                later.address == opening.address
                    && !matches!(opening.address, Address::Simulated { .. })
            });
            if is_twice {
                return Err(CommandError::NamedTwice { address: opening.address.clone() });
            }
        }
        Ok(openings)
    }

    /// Whether what other hosts do at the device ends.
    pub(super) const fn take_over(&self) -> bool {
        self.take_over
    }

    /// The key of this host, where the command line names it.
    pub(super) fn host_key(&self) -> Option<&Path> {
        self.host.named()
    }

    /// Where the passphrases of keys come from.
    pub(super) const fn passphrase(&self) -> PassphraseArgs {
        self.host.passphrase()
    }

    /// The one device that is named.
    ///
    /// # Errors
    /// When none or several are named, or the name is no address.
    pub(super) fn one(
        &self,
        context: &Context,
        root: Option<&LoadedRoot>,
    ) -> Result<Device, CommandError> {
        self.one_for((Meets::Known, Shows::Needed), context, root)
    }

    /// As [`TargetArgs::one`], for a command that gets to know the device, or can do without the delegation.
    ///
    /// # Errors
    /// When none or several are named, or the name is no address.
    pub(super) fn one_for(
        &self,
        manners: (Meets, Shows),
        context: &Context,
        root: Option<&LoadedRoot>,
    ) -> Result<Device, CommandError> {
        let mut openings = self.openings_for(manners, context, root)?;
        match (openings.pop(), openings.is_empty()) {
            (Some(opening), true) => Ok(Device::new(opening)),
            (Some(_), false) | (None, _) => Err(CommandError::OneDevice),
        }
    }

    fn opening(
        &self,
        name: &str,
        root: Option<&LoadedRoot>,
        host: Option<HostIdentity>,
    ) -> Result<Opening, CommandError> {
        let address: Address = name.parse()?;
        let mut id = [0; 4];
        getrandom::fill(&mut id).map_err(CommandError::Random)?;
        let start = LinkStart::new(root.map(|root| root.bytes().to_vec()), self.seed);
        if let Err(error) = Link::check(&address, &start) {
            return Err(CommandError::Device { address, source: Box::new(error.into()) });
        }
        let (take_over, first_id) = (self.take_over, u32::from_le_bytes(id));
        Ok(Opening { address, start, take_over, first_id, host })
    }
}

/// Finds the device, with or without a session, and tells of another host that it waits for.
///
/// # Errors
/// When it does not answer.
pub(super) async fn reach(
    device: &mut Device,
    session: bool,
    context: &Context,
) -> Result<Opened, CommandError> {
    let until_ms = device.now_ms().saturating_add(CONNECT_MS);
    let address = device.address().clone();
    let mut tell =
        |waiting: Waiting| context.output.progress(&format_args!("{address}: {waiting}"));
    let before = device.opening().host.as_ref().map(Showing::of);
    let opened = device.connect(until_ms, None, session, &mut tell).await;
    if let (Some(before), Some(host)) = (before, &device.opening().host)
        && let Some(turn) = before.turn(host)
    {
        context.output.progress(&format_args!("{address}: {turn}"));
    }
    opened.map_err(|source| at(device, source))
}

/// What a host does with its delegation, to be held against what it does later.
struct Showing {
    shows: Shows,
    unshown: Option<String>,
}

impl Showing {
    fn of(host: &HostIdentity) -> Self {
        Self { shows: host.shows, unshown: host.unshown.clone() }
    }

    /// What has come to be otherwise, for people; whoever asked for all of it is told in its place.
    fn turn(&self, now: &HostIdentity) -> Option<String> {
        let unshown = now.unshown.as_ref().filter(|_| now.unshown != self.unshown);
        match unshown {
            _ if now.meets == Meets::Everybody => None,
            Some(why) => Some(format!("{why}; goes on without it")),
            None if now.shows != self.shows => Some(
                "the device has no place for a host that shows no delegation, so it is shown"
                    .to_owned(),
            ),
            None => None,
        }
    }
}

/// Does some work in a session, and gives the session back whatever comes of the work: or the next command would take
/// this one for another host. A stop by the operator ends the work.
///
/// # Errors
/// When no device answers, when the work fails, or when it is stopped.
pub(super) async fn in_session<T>(
    device: &mut Device,
    interrupts: &mut watch::Receiver<u32>,
    context: &Context,
    work: impl AsyncFnOnce(&mut Device, Opened) -> Result<T, CommandError>,
) -> Result<T, CommandError> {
    let address = device.address().clone();
    let worked = tokio::select! {
        biased;
        _ = interrupts.changed() => Err(CommandError::Interrupted { address }),
        worked = async {
            let opened = reach(device, true, context).await?;
            let is_lost = opened.facts.root_is_lost;
            let worked = work(device, opened).await;
            if is_lost { told_of_loss(device, worked).await } else { worked }
        } => worked,
    };
    tokio::select! {
        biased;
        // A second stop does not wait for the device.
        _ = interrupts.changed() => {}
        () = device.close() => {}
    }
    worked
}

/// A device of the field that has lost its root record believes no delegation, and can say only that it wants one: the loss
/// is what there is to mend.
async fn told_of_loss<T>(
    device: &mut Device,
    worked: Result<T, CommandError>,
) -> Result<T, CommandError> {
    let Err(CommandError::Device { source, .. }) = &worked else { return worked };
    let DeviceError::Refused(Refusal::NotAuthenticated) = **source else { return worked };
    match device.root_version().await {
        Ok(Some(version)) => Err(at(device, DeviceError::Refused(Refusal::RootLost { version }))),
        Ok(None) | Err(_) => worked,
    }
}

/// Names the device that an error came from.
pub(super) fn at(device: &Device, source: DeviceError) -> CommandError {
    CommandError::Device { address: device.address().clone(), source: Box::new(source) }
}
