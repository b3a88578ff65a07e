//! Programs of this host that a check runs.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;
use tokio::time::timeout;

use crate::evidence::escape_text;
use crate::qualify::observation::Seen;

/// Most bytes kept of each of a program's outputs.
const OUTPUT_BYTES: u64 = 64 * 1024;

/// Runs a program without a shell; what it prints is bounded and made safe to show.
pub async fn run(argv: &[String], timeout_ms: u64) -> Seen {
    let Some((program, arguments)) = argv.split_first() else {
        return Seen::LinkError { reason: "the plan names no program".to_owned() };
    };
    let child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) => {
            return Seen::LinkError { reason: format!("failed to start {program}: {error}") };
        }
    };
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let all = async { tokio::join!(child.wait(), collect(stdout), collect(stderr)) };
    match timeout(Duration::from_millis(timeout_ms), all).await {
        Ok((Ok(status), stdout, stderr)) => {
            Seen::CommandExit { code: status.code(), stdout, stderr }
        }
        Ok((Err(error), _, _)) => {
            Seen::LinkError { reason: format!("failed to wait for {program}: {error}") }
        }
        Err(_) => Seen::NoAnswer,
    }
}

/// Keeps the start of an output and drains the rest, so that the program never blocks on it.
async fn collect(output: Option<impl AsyncRead + Unpin>) -> String {
    let Some(mut output) = output else { return String::new() };
    let mut kept = Vec::new();
    let _ = (&mut output).take(OUTPUT_BYTES).read_to_end(&mut kept).await;
    let _ = tokio::io::copy(&mut output, &mut tokio::io::sink()).await;
    escape_text(&String::from_utf8_lossy(&kept))
}
