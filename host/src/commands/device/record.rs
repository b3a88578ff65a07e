//! `noflake device record`: the boot record as flash holds it, into a file.

use serde_json::json;

use crate::bench::RecordBytes;
use crate::cli::Context;
use crate::commands::NewFileArgs;
use crate::commands::root::RootArgs;
use crate::commands::runtime;
use crate::commands::target::{LOOKS, TargetArgs, at, reach};
use crate::error::CommandError;
use crate::link::shell_word;

/// Save the boot record of a device, as its flash holds it, into a file
///
/// Both ranges, one behind the other: what a debugger would read there. noflake device status
/// --explain --record says in words what it holds, with no device at hand. Nothing is changed.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    target: TargetArgs,
    #[command(flatten)]
    root: RootArgs,
    #[command(flatten)]
    file: NewFileArgs,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<(), CommandError> {
    // A simulated device is made anew for this command, enrolled as for device status.
    let root = args.root.load(context)?;
    let mut device = args.target.one_for(LOOKS, context, root.as_ref())?;
    let (serial, record) = runtime::block_on(async {
        let opened = reach(&mut device, false, context).await?;
        let record = device.record_bytes().await.map_err(|source| at(&device, source))?;
        Ok::<_, CommandError>((opened.facts.serial, record))
    })??;
    args.file.write(&record.bytes)?;
    let RecordBytes { bytes, first_range_bytes, unreadable_bytes } = &record;
    let total_bytes = bytes.len();
    let second_range_bytes = total_bytes.saturating_sub(*first_range_bytes);
    let first_range = if second_range_bytes == *first_range_bytes {
        String::new()
    } else {
        format!(" --first-range {first_range_bytes}")
    };
    let explain = format!(
        "noflake device status --explain --record {}{first_range}",
        shell_word(&args.file.path().display().to_string())
    );
    let mut lines = vec![format!(
        "{}: boot record of {serial}, {total_bytes} bytes in ranges of {first_range_bytes} and \
         {second_range_bytes}, in {}",
        device.address(),
        args.file.path().display()
    )];
    if *unreadable_bytes > 0 {
        lines.push(format!(
            "{unreadable_bytes} bytes cannot be read from flash; a5 stands in their place"
        ));
    }
    lines.push(format!("next: {explain}"));
    let machine = json!({
        "device": device.address().to_string(),
        "serial": serial,
        "file": args.file.path(),
        "bytes": total_bytes,
        "first_range_bytes": first_range_bytes,
        "unreadable_bytes": unreadable_bytes,
        "next": explain,
    });
    context.output.result(&lines.join("\n"), &machine);
    Ok(())
}
