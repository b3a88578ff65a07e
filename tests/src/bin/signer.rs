//! Stands for a token or a signing server in tests: signs what comes on stdin with the key whose secret is the named byte
//! repeated, as TRUST.md, "A key elsewhere", has it.

use std::io::{self, Read, Write};
use std::process::ExitCode;

use ed25519_dalek::{Signer as _, SigningKey};

fn main() -> io::Result<ExitCode> {
    let seed = std::env::args().nth(1).and_then(|seed| seed.parse().ok());
    let Some(seed) = seed else { return Ok(ExitCode::from(2)) };
    let key = SigningKey::from_bytes(&[seed; 32]);
    let mut message = Vec::new();
    io::stdin().read_to_end(&mut message)?;
    io::stderr().write_all(b"signer: touch the token\n")?;
    io::stdout().write_all(&key.sign(&message).to_bytes())?;
    Ok(ExitCode::SUCCESS)
}
