//! Handshakes on the wires of a bench, a message at a time.

use firmware_protocol::device::Input;
use firmware_protocol::frame::{Header, Kind};
use firmware_protocol::message::FromDevice;
use firmware_protocol::sealed::{Channel, Initiator, LinkSecret, THIRD_OVERHEAD_BYTES};

use super::bench::Bench;

/// A handshake whose second message has come.
pub type Begun = (Initiator, Vec<u8>);

/// Says a first message on `wire` now; `None` where the device passes it over.
pub fn try_begin(bench: &mut Bench, wire: u8, who: &LinkSecret) -> Option<Begun> {
    let fresh = LinkSecret::new(bench.fresh.bytes(32).try_into().unwrap());
    let mut first = [1; 33];
    let (initiator, _) = Initiator::begin(who, &fresh, &mut first[1..]).unwrap();
    bench.handshakes.clear();
    let mut frame = framed(&first);
    assert_eq!(bench.poll(Input::Frame { link: wire, frame: &mut frame }), None);
    Some((initiator, bench.handshakes.pop()?))
}

/// A handshake on `wire` up to its second message, behind the longest time that a wire has to wait.
pub fn begun(bench: &mut Bench, wire: u8, who: &LinkSecret) -> Begun {
    bench.now_ms += 400;
    try_begin(bench, wire, who).expect("a second message")
}

/// The third message as a frame, and the host's end of the link that it makes.
pub fn third((initiator, second): &Begun, shown: &[u8]) -> (Channel, Vec<u8>) {
    let mut third = vec![3; 1 + THIRD_OVERHEAD_BYTES + shown.len()];
    let joined = initiator.join(&second[1..], shown, &mut third[1..]).unwrap();
    (joined.channel, framed(&third))
}

/// Its end; the bench is on that link from then on.
pub fn ended(
    bench: &mut Bench,
    wire: u8,
    begun: &Begun,
    shown: &[u8],
) -> Option<FromDevice<'static>> {
    let (channel, mut frame) = third(begun, shown);
    (bench.wire, bench.sealed) = (wire, Some(channel));
    bench.poll(Input::Frame { link: wire, frame: &mut frame })
}

fn framed(payload: &[u8]) -> Vec<u8> {
    [&Header { kind: Kind::Handshake, sequence: 0 }.to_bytes()[..], payload].concat()
}
