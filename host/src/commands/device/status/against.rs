//! Drift: holds every byte of the running slot against a bundle, component by component.

use std::path::Path;

use firmware_protocol::slot::SlotId;
use serde_json::json;

use crate::bench::{Device, DeviceError, Opened};
use crate::bundle::{Bundle, VerifiedBundle};
use crate::cli::Context;
use crate::commands::runtime;
use crate::commands::target::{at, in_session};
use crate::error::{CommandError, Exit};
use crate::qualify::observation::{StatusFacts, Where};
use crate::trust::LoadedRoot;

/// How one component compares.
struct Compared {
    name: String,
    problem: Option<String>,
}

pub(super) async fn run(
    device: &mut Device,
    bundle: &Path,
    root: &LoadedRoot,
    context: &Context,
) -> Result<Exit, CommandError> {
    let bundle = Bundle::open(bundle)?.verify(root.record().claims())?;
    let mut interrupts = runtime::interrupts();
    let comparing = async |device: &mut Device, opened: Opened| {
        let slot = match opened.facts.running {
            Where::SlotA => SlotId::A,
            Where::SlotB => SlotId::B,
            Where::Recovery => {
                return Err(CommandError::InRecovery { address: device.address().clone() });
            }
        };
        let compared = compare(device, &bundle, slot).await;
        Ok((opened, compared.map_err(|source| at(device, source))?))
    };
    let (opened, compared) = in_session(device, &mut interrupts, context, comparing).await?;
    let same = opened.facts.bundle == Some(bundle.bundle().digest().0);
    let manifest = Compared {
        name: "manifest".to_owned(),
        problem: (!same).then(|| {
            format!(
                "DRIFT: version {} runs, the bundle brings {}",
                opened.facts.version,
                bundle.manifest().version
            )
        }),
    };
    let compared: Vec<Compared> = std::iter::once(manifest).chain(compared).collect();
    let drifted = compared.iter().any(|component| component.problem.is_some());
    let mut lines = vec![format!(
        "{}: {} runs version {} from {}, held against version {}",
        device.address(),
        opened.facts.serial,
        opened.facts.version,
        opened.facts.running,
        bundle.manifest().version
    )];
    for Compared { name, problem } in &compared {
        let word = problem.as_deref().unwrap_or("as in the bundle, every byte");
        lines.push(format!("  {name:16} {word}"));
    }
    if drifted {
        lines.push(format!("next: {}", repair(&opened.status, bundle.bundle().digest().0)));
    }
    let machine = json!({
        "device": device.address().to_string(),
        "drift": drifted,
        "running": opened.facts.running.to_string(),
        "version": opened.facts.version,
        "bundle_version": bundle.manifest().version.to_string(),
        "components": compared
            .iter()
            .map(|Compared { name, problem }| json!({ "name": name, "problem": problem }))
            .collect::<Vec<_>>(),
    });
    context.output.result(&lines.join("\n"), &machine);
    Ok(if drifted { Exit::Rejected } else { Exit::Success })
}

/// What makes the device hold the bundle.
fn repair(status: &StatusFacts, bundle: [u8; 32]) -> &'static str {
    let rejections = [Where::SlotA, Where::SlotB].into_iter().filter_map(|place| {
        status.slot(place).filter(|slot| slot.bundle == Some(bundle))?.rejection
    });
    if rejections.into_iter().any(|rejection| rejection.blames_bundle) {
        "the device has rejected this bundle (noflake device status --explain): mend it, or \
         noflake deploy it with --again"
    } else {
        "noflake deploy this bundle: it repairs what differs"
    }
}

async fn compare(
    device: &mut Device,
    bundle: &VerifiedBundle,
    slot: SlotId,
) -> Result<Vec<Compared>, DeviceError> {
    let areas = device.areas().await?;
    let mut compared = Vec::new();
    for (component, claims) in bundle.manifest().components.iter().enumerate() {
        let area = areas.iter().position(|area| *area == claims.name);
        let area = area.and_then(|area| u8::try_from(area).ok());
        let expected = bundle.manifest().variant_for(component, slot);
        let problem = match (area, expected) {
            (None, _) => Some("the device has no such component".to_owned()),
            (_, None) => Some(format!("the bundle has no variant for slot {slot}")),
            (Some(area), Some((_, variant))) => {
                let (digest, length, tail_blank) = device.hash(slot, area).await?;
                if digest != variant.digest {
                    Some(format!("DRIFT: {digest:.16}, the bundle has {:.16}", variant.digest))
                } else if length != variant.length || !tail_blank {
                    Some("DRIFT: bytes stand behind its end".to_owned())
                } else {
                    None
                }
            }
        };
        compared.push(Compared { name: claims.name.clone(), problem });
    }
    for area in areas {
        if !compared.iter().any(|component| component.name == area) {
            let problem = Some("the bundle has no such component".to_owned());
            compared.push(Compared { name: area, problem });
        }
    }
    Ok(compared)
}
