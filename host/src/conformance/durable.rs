//! What lies in a device for good, to be held against what lies there later.

use firmware_protocol::message::{Reply, Request, Status, Wear};
use firmware_protocol::slot::{PerSlot, SlotId, SlotState};

use super::finding::Stop;
use crate::bench::{Device, DeviceError};

/// What lies in a device for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Durable {
    pub(super) active: Option<SlotId>,
    pub(super) slots: PerSlot<SlotState>,
    pub(super) trial: Option<u32>,
    pub(super) floor: u64,
    pub(super) slot_erases: PerSlot<u32>,
    pub(super) record_entries: u32,
}

impl Durable {
    /// As the device tells it, with or without a session.
    pub(super) async fn of(device: &mut Device) -> Result<Self, Stop> {
        let status = device.status().await?;
        let answer = device.ask(Request::Wear).await?;
        let Reply::Wear(wear) = answer.reply().map_err(DeviceError::Refused)? else {
            return Err(DeviceError::OutOfTurn("wear").into());
        };
        Ok(Self::new(&status, wear))
    }

    fn new(status: &Status, wear: Wear) -> Self {
        Self {
            active: status.active,
            slots: status.slots,
            trial: status.trial.map(|trial| trial.trial_id),
            floor: status.accept_floor,
            slot_erases: wear.slot_erases,
            record_entries: wear.record_entries,
        }
    }

    /// What is otherwise now, in words.
    pub(super) fn changes(&self, now: &Self) -> Option<String> {
        let mut changes = Vec::new();
        let mut note = |is_same: bool, what: &str, before: String, now: String| {
            if !is_same {
                changes.push(format!("{what} was {before} and is {now}"));
            }
        };
        let slot = |slot: Option<SlotId>| slot.map_or("none".to_owned(), |slot| slot.to_string());
        let trial = |id: Option<u32>| id.map_or("none".to_owned(), |id| id.to_string());
        note(self.active == now.active, "the confirmed slot", slot(self.active), slot(now.active));
        note(self.trial == now.trial, "the open trial", trial(self.trial), trial(now.trial));
        note(self.floor == now.floor, "the floor", self.floor.to_string(), now.floor.to_string());
        for id in SlotId::ALL {
            let (before, after) = (self.slots.get(id), now.slots.get(id));
            let words = |state: &SlotState| match state.bundle() {
                Some(bundle) => format!("{} ({bundle:.16})", state.word()),
                None => state.word().to_owned(),
            };
            note(before == after, &format!("slot {id}"), words(before), words(after));
            let (before, after) = (*self.slot_erases.get(id), *now.slot_erases.get(id));
            let what = format!("the erase count of slot {id}");
            note(before == after, &what, before.to_string(), after.to_string());
        }
        let (before, after) = (self.record_entries, now.record_entries);
        let what = "the number of boot record entries";
        note(before == after, what, before.to_string(), after.to_string());
        (!changes.is_empty()).then(|| changes.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_changed_is_named_with_both_values() {
        let before = Durable {
            active: Some(SlotId::A),
            slots: PerSlot { a: SlotState::Empty, b: SlotState::Empty },
            trial: None,
            floor: 3,
            slot_erases: PerSlot { a: 0, b: 4 },
            record_entries: 9,
        };
        assert_eq!(before.changes(&before), None);
        let now = Durable { floor: 4, trial: Some(7), ..before.clone() };
        let words = "the open trial was none and is 7, the floor was 3 and is 4";
        assert_eq!(before.changes(&now).as_deref(), Some(words));
        let now = Durable { slot_erases: PerSlot { a: 0, b: 5 }, ..before.clone() };
        assert!(before.changes(&now).unwrap().starts_with("the erase count of slot B was 4"));
    }
}
