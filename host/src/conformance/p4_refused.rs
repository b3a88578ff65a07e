//! P4, refused before touched: what is not for this device is refused, and slots, floor and erase counters are as before.

use firmware_protocol::message::Request;
use firmware_protocol::refusal::Refusal;
use firmware_protocol::trust::{BodyType, Envelope};

use super::bundles::Role;
use super::finding::{Stop, promised};
use super::subject::{Subject, refused};
use super::unit::{Deployed, Unit};

/// Manifests with a bit turned.
const DAMAGED: usize = 6;

pub(super) async fn other_product<U: Unit>(subject: &mut Subject<'_, U>) -> Result<(), Stop> {
    let document = document(subject, Role::OtherProduct)?;
    let is_due = |refusal| matches!(refusal, Refusal::WrongProduct | Refusal::WrongHardware { .. });
    untouched(subject, &document, "the bundle of another product", is_due).await
}

pub(super) async fn stranger<U: Unit>(subject: &mut Subject<'_, U>) -> Result<(), Stop> {
    let document = document(subject, Role::Stranger)?;
    let is_due = |refusal| matches!(refusal, Refusal::UntrustedSignature { .. });
    untouched(subject, &document, "the bundle of a stranger", is_due).await
}

pub(super) async fn below_floor<U: Unit>(subject: &mut Subject<'_, U>) -> Result<(), Stop> {
    let lowest = subject.bundles.security_version(Role::Base).unwrap_or(0);
    if subject.meet().await?.status.accept_floor <= lowest {
        match subject.unit.deploy(Role::Next).await? {
            Deployed::Runs => subject.home = Role::Next,
            Deployed::RolledBack => {
                return Err(Stop::NotChecked("`next` was rolled back".to_owned()));
            }
            Deployed::Refused { why } => return Err(Stop::Refused(why)),
            Deployed::Otherwise { why } => return Err(Stop::Bench(why)),
        }
    }
    let document = document(subject, Role::Base)?;
    let is_due = |refusal| matches!(refusal, Refusal::BelowFloor { .. });
    untouched(subject, &document, "`base`, which is below the floor", is_due).await
}

pub(super) async fn damaged_manifest<U: Unit>(subject: &mut Subject<'_, U>) -> Result<(), Stop> {
    let document = document(subject, Role::Next)?;
    let (begin, length) = body_of(&document);
    for _ in 0..DAMAGED {
        let mut damaged = document.clone();
        let at = begin.saturating_add(subject.chance.place(length));
        if let Some(byte) = damaged.get_mut(at) {
            *byte ^= 1 << subject.chance.below(8);
        }
        let what = format!("a manifest with a bit of byte {at} turned");
        untouched(subject, &damaged, &what, |_| true).await?;
    }
    let cut = document.get(..begin.saturating_add(length / 2)).unwrap_or_default();
    untouched(subject, cut, "half a manifest", |_| true).await
}

/// Where the signed body lies: what is turned in a signature's hint alone is no damage.
fn body_of(document: &[u8]) -> (usize, usize) {
    let Ok(envelope) = Envelope::parse(document, BodyType::Manifest) else { return (0, 0) };
    let body = envelope.body();
    let begin = document.windows(body.len().max(1)).position(|window| window == body);
    (begin.unwrap_or(0), body.len())
}

fn document<U: Unit>(subject: &Subject<'_, U>, role: Role) -> Result<Vec<u8>, Stop> {
    let bundle = subject.bundles.any(role);
    let bundle = bundle.ok_or_else(|| Stop::NotChecked(format!("no bundle `{role}`")))?;
    Ok(bundle.envelope().to_vec())
}

/// Offers a document as what is to be staged.
async fn untouched<U: Unit>(
    subject: &mut Subject<'_, U>,
    document: &[u8],
    what: &str,
    is_due: impl Fn(Refusal) -> bool,
) -> Result<(), Stop> {
    subject.meet().await?;
    let before = subject.durable().await?;
    let offered = subject.offer(document).await;
    let staged = match offered {
        Ok(()) => subject.plain(Request::Stage { again: true }).await,
        Err(error) => Err(error),
    };
    let refusal = refused(staged)?;
    let changes = before.changes(&subject.durable().await?);
    promised(refusal.is_some(), || format!("it takes {what}"))?;
    promised(changes.is_none(), || {
        format!("it refuses {what}, and {}", changes.unwrap_or_default())
    })?;
    match refusal.filter(|refusal| !is_due(*refusal)) {
        Some(other) => {
            Err(Stop::NotChecked(format!("it refuses {what} for another reason: {other}")))
        }
        None => Ok(()),
    }
}
