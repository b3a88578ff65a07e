//! `noflake sim`: simulated devices on real ports.

use std::io::Read;
use std::path::PathBuf;

use firmware_protocol::slot::SlotId;
use hw_sim::{FactoryBundle, ServeOptions};

use super::runtime;
use crate::bundle::{Bundle, PayloadRole};
use crate::cli::Context;
use crate::error::CommandError;
use crate::output::Format;

/// Serve simulated devices on a serial port (PTY) and TCP, until Ctrl-C
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    serve: ServeOptions,
    /// Bundle that a new device runs from the factory [default: a small image of its own, 1.0.0]
    #[arg(long, value_name = "BUNDLE")]
    image: Option<PathBuf>,
}

/// Serves.
///
/// # Errors
/// When a port cannot be made, or scenario, state or bundle cannot be used.
pub fn run(args: Args, context: &Context) -> Result<(), CommandError> {
    let factory = args.image.as_deref().map(factory_bundle).transpose()?;
    let output = &context.output;
    if args.serve.state.is_none() && args.serve.seed.is_none() {
        output
            .progress(&"The key of each device is new at every start; with --state DIR it stays.");
    }
    let report = |ready: hw_sim::ReadyLine| {
        let line = match output.format() {
            Format::Human => ready.to_string(),
            Format::Json => ready.to_json().unwrap_or_default(),
        };
        output.raw(format!("{line}\n").as_bytes());
    };
    runtime::block_on(hw_sim::serve(args.serve, factory, report))?.map_err(CommandError::Sim)
}

/// What slot A of a new device holds.
fn factory_bundle(path: &std::path::Path) -> Result<FactoryBundle, CommandError> {
    let bundle = Bundle::open(path)?;
    let manifest = bundle.unverified_manifest();
    let mut components = Vec::new();
    for (component, claims) in manifest.components.iter().enumerate() {
        let Some((variant, _)) = manifest.variant_for(component, SlotId::A) else { continue };
        let role = PayloadRole::Variant { component, variant };
        let Some(index) = bundle.payload_index(role) else { continue };
        let mut bytes = Vec::new();
        bundle
            .payload(index)?
            .read_to_end(&mut bytes)
            .map_err(|source| CommandError::Image { path: path.to_owned(), source })?;
        components.push((claims.name.clone(), bytes));
    }
    Ok(FactoryBundle { envelope: bundle.envelope().to_vec(), components })
}
