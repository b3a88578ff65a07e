//! Root records, delegations and certificates of fixed keys: as people make them, but in memory, and also as nobody would.

use firmware_protocol::delegation::{Actions, Delegation};
use firmware_protocol::root::{Epochs, LifeCycle, Policy, RoleKeys, RootRecord};
use firmware_protocol::sealed::LinkSecret;
use firmware_protocol::trust::BodyType;
use noflake::trust::{Signer, seal};
use serde::Serialize;

use crate::site::{RELEASE_KEY, ROOT_KEY, TestKey};

/// The key that a field record names for delegations.
pub const OPERATE_KEY: TestKey = TestKey(4);
/// The key that a field record names for certificates.
pub const QUALIFY_KEY: TestKey = TestKey(5);
/// When the first root record was made.
pub const MADE_S: u64 = 1_700_000_000;
/// A day, in seconds.
pub const DAY_S: u64 = 86_400;

/// A role of these keys.
pub fn role(keys: &[TestKey], threshold: u8) -> RoleKeys {
    RoleKeys { keys: keys.iter().map(Signer::public_key).collect(), threshold }
}

/// The first root record of a site whose devices take changes from whoever reaches them.
pub fn first_record() -> RootRecord {
    RootRecord {
        version: 1,
        root: role(&[ROOT_KEY], 1),
        release: role(&[RELEASE_KEY], 1),
        qualify: RoleKeys::default(),
        operate: RoleKeys::default(),
        life_cycle: LifeCycle::Development,
        policy: Policy::default(),
        epochs: Epochs::default(),
        made_at_s: MADE_S,
        resets_time: false,
    }
}

/// The first root record of a site whose devices are in the field.
pub fn field_record() -> RootRecord {
    RootRecord {
        qualify: role(&[QUALIFY_KEY], 1),
        operate: role(&[OPERATE_KEY], 1),
        life_cycle: LifeCycle::Field,
        ..first_record()
    }
}

/// What lets a host do everything to the example's devices, for ever.
pub fn delegation(host: &LinkSecret) -> Delegation<'static> {
    Delegation {
        host: host.public(),
        name: "host",
        products: std::iter::once("rover-nav").collect(),
        serials: std::iter::empty().collect(),
        actions: Actions::ALL,
        epoch: 0,
        not_after_s: u64::MAX,
        made_at_s: MADE_S,
    }
}

/// A document of these claims, signed by each of these, whatever it says.
pub fn signed(body_type: BodyType, claims: &impl Serialize, signers: &[TestKey]) -> Vec<u8> {
    let signers: Vec<&dyn Signer> = signers.iter().map(|key| key as &dyn Signer).collect();
    seal(body_type, &postcard::to_stdvec(claims).unwrap(), &signers).unwrap()
}

/// A root record, signed by each of these.
pub fn signed_root(record: &RootRecord, signers: &[TestKey]) -> Vec<u8> {
    signed(BodyType::Root, record, signers)
}
