//! `noflake device bench-reset`: lowers the floor of a device on a bench.

use std::fmt;
use std::path::PathBuf;

use firmware_protocol::bench_reset::BenchReset;
use firmware_protocol::message::How;
use firmware_protocol::refusal::Refusal;
use firmware_protocol::root::{LifeCycle, RootRecord};
use serde_json::json;

use crate::bench::{Device, DeviceError, Opened};
use crate::cli::Context;
use crate::commands::clock::now_s;
use crate::commands::root::RootArgs;
use crate::commands::runtime;
use crate::commands::signing::{OfRole, SigningKey, borrowed, unlock_all};
use crate::commands::target::{TargetArgs, at, in_session, reach};
use crate::error::CommandError;
use crate::evidence::escape_text;
use crate::qualify::observation::{DeviceFacts, StatusFacts};
use crate::trust::sign_bench_reset;

/// Lower the floor of a device on a bench, so that it takes bundles again that are older than what it has confirmed
///
/// It is signed with a qualify key for this one device in this very boot, and of no use for another device or later.
/// Devices of the life cycle field take none.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    target: TargetArgs,
    /// Lowest security version that the device is to take from now on
    #[arg(long, value_name = "N")]
    floor: u64,
    /// Key of the qualify role, a .key or .signer file; named as often as its threshold says
    #[arg(long = "key", value_name = "KEY", required = true)]
    keys: Vec<PathBuf>,
    #[command(flatten)]
    root: RootArgs,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<(), CommandError> {
    let root = args.root.require(context)?;
    let keys = SigningKey::read_all(&args.keys)?;
    let mut device = args.target.one(context, Some(&root))?;
    runtime::block_on(async {
        let mut interrupts = runtime::interrupts();
        // Whoever is asked for a passphrase takes their time: the session is opened behind that.
        let Opened { facts, status, .. } = reach(&mut device, false, context).await?;
        device.close().await;
        let claims = root.record().claims();
        refuse_in_vain(&facts, &status, args.floor, claims)
            .map_err(|refusal| at(&device, DeviceError::Refused(refusal)))?;
        let reset = BenchReset {
            product: &facts.product,
            serial: &facts.serial,
            boot_nonce: facts.boot_nonce,
            floor: args.floor,
            epoch: claims.epochs.qualify,
            made_at_s: now_s(),
        };
        let sheet = Sheet { reset: &reset, floor: status.accept_floor };
        context.output.progress(&format_args!("About to sign this bench reset:\n{sheet}"));
        let of_role = OfRole { role: "qualify", keys: &claims.qualify };
        let signers = unlock_all(&keys, args.target.passphrase(), Some(of_role), context)?;
        let document = sign_bench_reset(&reset, &borrowed(&signers), claims)?;
        let lower = async |device: &mut Device, _: Opened| {
            device.bench_reset(&document).await.map_err(|source| at(device, source))
        };
        let how = in_session(&mut device, &mut interrupts, context, lower).await?;
        let (done, before) = match how {
            How::FoundDone => ("was found at", None),
            How::Done | How::Resumed => ("is lowered to", Some(status.accept_floor)),
        };
        let from = before.map_or_else(String::new, |floor| format!("; it was {floor}"));
        let human = format!(
            "{}: the floor of device {} {done} {}{from}.",
            device.address(),
            facts.serial,
            args.floor
        );
        let machine = json!({
            "device": device.address().to_string(),
            "serial": facts.serial,
            "floor": args.floor,
            "floor_before": status.accept_floor,
            "found_done": how == How::FoundDone,
        });
        context.output.result(&human, &machine);
        Ok(())
    })?
}

/// Says what the device would say, before anybody is asked to sign.
const fn refuse_in_vain(
    facts: &DeviceFacts,
    status: &StatusFacts,
    offered: u64,
    root: &RootRecord,
) -> Result<(), Refusal> {
    let (floor, lowest) = (status.accept_floor, root.policy.lowest_security_version);
    match facts.life_cycle {
        LifeCycle::Factory => Err(Refusal::NotEnrolled),
        LifeCycle::Field => Err(Refusal::NotOnABench),
        LifeCycle::Development if offered > floor => Err(Refusal::FloorNotLower { offered, floor }),
        LifeCycle::Development if offered < lowest => {
            Err(Refusal::BelowFloor { offered, floor: lowest })
        }
        LifeCycle::Development => Ok(()),
    }
}

/// A bench reset for people.
struct Sheet<'a> {
    reset: &'a BenchReset<'a>,
    floor: u64,
}

impl fmt::Display for Sheet<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let BenchReset { product, serial, boot_nonce, floor, epoch, .. } = self.reset;
        writeln!(f, "device      {} {}", escape_text(product), escape_text(serial))?;
        writeln!(f, "boot        {boot_nonce:016x}, and no later one")?;
        write!(f, "floor       {floor} instead of {}, epoch {epoch}", self.floor)
    }
}
