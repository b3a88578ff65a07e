//! What to type next, with the device in it.

use crate::link::shell_word;

const COMMAND: &str = "noflake device ";
/// Stands in for the device where it is not known which one is asked for.
const PLACEHOLDER: &str = " -d DEVICE";

/// `next` with this device in each of its commands: nobody could type them without.
pub(super) fn with_device(next: &str, device: &str) -> String {
    let option = format!(" -d {}", shell_word(device));
    let mut named = String::new();
    let mut rest = next;
    while let Some(at) = rest.find(COMMAND) {
        let verb = &rest[at + COMMAND.len()..];
        let verb_len = verb.find(|it: char| !it.is_ascii_lowercase() && it != '-');
        let (command, behind) = rest.split_at(at + COMMAND.len() + verb_len.unwrap_or(verb.len()));
        named += command;
        rest = behind.strip_prefix(PLACEHOLDER).unwrap_or(behind);
        if !rest.starts_with(" -d ") {
            named += &option;
        }
    }
    named + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_gets_its_device_once() {
        for (next, named) in [
            ("noflake device log", "noflake device log -d sim:"),
            (
                "check the cable, then noflake device status --explain",
                "check the cable, then noflake device status -d sim: --explain",
            ),
            (
                "noflake device confirm makes it permanent, noflake device rollback; else wait",
                "noflake device confirm -d sim: makes it permanent, noflake device rollback -d sim:; else wait",
            ),
            (
                "noflake device recover -d DEVICE --root R",
                "noflake device recover -d sim: --root R",
            ),
            (
                "noflake device recover -d tcp:h:1 --root R",
                "noflake device recover -d tcp:h:1 --root R",
            ),
            ("noflake device bench-reset", "noflake device bench-reset -d sim:"),
            ("run the same noflake deploy again", "run the same noflake deploy again"),
        ] {
            assert_eq!(with_device(next, "sim:"), named);
        }
        assert!(
            with_device("noflake device log", "serial:/a?baud=1").ends_with("'serial:/a?baud=1'")
        );
    }
}
