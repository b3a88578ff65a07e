//! Devices with a known mistake: what a tool that judges devices has to notice.
//!
//! The engine stays as it is. A rogue listens to what reaches it, bends what leaves it, and does to
//! flash what an engine with that mistake would have done. A tool that is content with such a device
//! proves nothing with a sound one.

use firmware_protocol::digest::Digest;
use firmware_protocol::flash::Flash;
use firmware_protocol::frame::{Header, Kind};
use firmware_protocol::layout::Layout;
use firmware_protocol::message::{
    self, FromDevice, How, MAX_REPLY_BYTES, Reply, Request, ToDevice,
};
use firmware_protocol::record::RecordStore;
use firmware_protocol::refusal::Refusal;
use firmware_protocol::slot::SlotId;
use firmware_protocol::start::read_manifest;
use firmware_protocol::trust::{MAX_ENVELOPE_BYTES, admitted_manifest};

use crate::flash::FlashHandle;
use crate::scenario::Mistake;

/// A device with a mistake.
#[derive(Debug)]
pub(super) struct Rogue {
    mistake: Mistake,
    flash: FlashHandle,
    layout: Layout,
    spare: SlotId,
    document: Vec<u8>,
    /// The component that was asked to be hashed last.
    hashed: Option<(SlotId, u8)>,
}

impl Rogue {
    pub(super) const fn new(
        mistake: Mistake,
        flash: FlashHandle,
        layout: Layout,
        spare: SlotId,
    ) -> Self {
        Self { mistake, flash, layout, spare, document: Vec::new(), hashed: None }
    }

    /// Listens to what reaches the device.
    pub(super) fn hear(&mut self, frame: &[u8]) {
        let Some((Header { kind: Kind::Message, .. }, payload)) = Header::split(frame) else {
            return;
        };
        match message::decode::<ToDevice<'_>>(payload).map(|message| message.request) {
            Some(Request::Offer { offset, bytes, .. }) => {
                self.document.truncate(usize::try_from(offset).unwrap_or(0));
                self.document.extend_from_slice(bytes);
            }
            Some(Request::HashComponent { slot, area }) => self.hashed = Some((slot, area)),
            Some(_) | None => {}
        }
    }

    /// Bends what leaves the device; `None` leaves it as it is.
    pub(super) fn bend(&mut self, payload: &[u8]) -> Option<Vec<u8>> {
        let FromDevice::Reply { id, reply } = message::decode(payload)? else {
            return None;
        };
        let bent = match (self.mistake, reply) {
            (Mistake::AcceptsUnsigned, Err(Refusal::UntrustedSignature { .. })) => {
                self.store_document()?;
                Reply::Stage { slot: self.spare, how: How::Done }
            }
            (Mistake::LiesAboutDigests, Ok(Reply::Hash { length, .. })) => {
                Reply::Hash { digest: self.expected_digest()?, length, tail_blank: true }
            }
            (Mistake::AcceptsUnsigned | Mistake::LiesAboutDigests, _) => return None,
        };
        let mut bytes = [0; MAX_REPLY_BYTES];
        message::encode(&FromDevice::Reply { id, reply: Ok(bent) }, &mut bytes).map(<[u8]>::to_vec)
    }

    fn store_document(&mut self) -> Option<()> {
        let range = self.layout.slot(self.spare).manifest;
        let mut at = range.start;
        while at < range.end() {
            let block = self.flash.block_at(at)?;
            self.flash.erase(block).ok()?;
            at = block.end();
        }
        let geometry = self.flash.geometry();
        let word = usize::try_from(geometry.word_bytes).ok()?;
        let mut document = self.document.clone();
        document.resize(document.len().next_multiple_of(word), geometry.erased);
        let mut address = range.start;
        for page in document.chunks(usize::try_from(geometry.page_bytes).ok()?) {
            self.flash.program(address, page).ok()?;
            address = address.saturating_add(u32::try_from(page.len()).ok()?);
        }
        Some(())
    }

    /// What the slot's own manifest says of the component that was asked for.
    fn expected_digest(&mut self) -> Option<Digest> {
        let (slot, area) = self.hashed?;
        let store = RecordStore::load(&mut self.flash, self.layout.record());
        let bundle = store.state()?.slots.get(slot).bundle()?;
        let place = self.layout.slot(slot);
        let name = &place.areas.get(usize::from(area))?.name;
        let mut bytes = [0; MAX_ENVELOPE_BYTES];
        let envelope = read_manifest(&mut self.flash, place, &mut bytes).ok()?;
        let manifest = admitted_manifest(envelope, bundle).ok()?;
        let component = manifest.claims().components.iter().find(|found| found.name == *name)?;
        Some(component.variant_for(slot)?.digest)
    }
}
