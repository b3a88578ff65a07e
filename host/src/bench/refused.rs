//! A device's refusal in the words of the bundle: the device counts components, a person knows their
//! names.

use firmware_protocol::refusal::Refusal;

/// `refusal` with the name of the component that it is about; `components` are the bundle's, in order.
pub(super) fn in_words(refusal: Refusal, components: &[&str]) -> String {
    let text = refusal.to_string();
    let Some(index) = refusal.component() else { return text };
    let number = format!("component {index}");
    match components.get(usize::from(index)) {
        Some(name) => text.replacen(&number, &format!("component {name}"), 1),
        // There is one too many or too few of them, and none to be named.
        None => text.replacen(&number, &format!("it has {}", components.len()), 1),
    }
}

#[cfg(test)]
mod tests {
    use firmware_protocol::slot::SlotId;

    use super::*;

    #[test]
    fn a_component_is_named_and_not_numbered() {
        let (index, limit) = (1, 9);
        for (refusal, expected) in [
            (
                Refusal::TooLarge { index, got: 10, limit: 9 },
                "component config has 10 bytes, its area 9",
            ),
            (
                Refusal::NoVariant { index, slot: SlotId::B },
                "component config has no variant for slot B",
            ),
            (
                Refusal::BlockSize { index, got: 10, limit },
                "component config has a block size of 10 bytes, the device takes 9 at most",
            ),
            (
                Refusal::Encoding { index },
                "component config has an encoding the device does not take",
            ),
            (Refusal::Incomplete { component: 0 }, "component app is not complete"),
            (
                Refusal::Components { index },
                "the bundle's components are not the device's (component config)",
            ),
            (
                Refusal::Components { index: 2 },
                "the bundle's components are not the device's (it has 2)",
            ),
            (Refusal::NoTrial, "no trial is open"),
        ] {
            assert_eq!(in_words(refusal, &["app", "config"]), expected);
        }
    }
}
