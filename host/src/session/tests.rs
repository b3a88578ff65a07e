//! A session against a device that answers late, or works for ever; in virtual time.

use firmware_protocol::message::How;

use super::*;

#[test]
fn a_device_that_says_working_for_ever_is_given_up_after_ten_minutes() {
    let mut session = Session::new(Framing::Stream, 1, Patience::default());
    session.ask(0, Request::Finish);
    let id = asked(&mut session);
    let mut now_us = 0;
    let given_up_us = loop {
        now_us += 1_000_000;
        session.handle_bytes(now_us, &said(id, Ok(Reply::Working { left_bytes: 1 })));
        session.handle_timeout(now_us);
        match session.poll_event() {
            Some(Event::NoAnswer) => break now_us,
            Some(other) => panic!("not an answer: {other:?}"),
            None => assert!(now_us < 1_000_000_000, "never given up"),
        }
    };
    // Its last word that counts came before the limit; from there it is waited for as for any other.
    let limit_us = MAX_WORKING_US + Patience::default().silence_us;
    assert!((MAX_WORKING_US..=limit_us).contains(&given_up_us), "after {given_up_us} us");
}

/// The device resets and the answer arrives after it was given up: what is asked of the new boot then
/// waits for its own answer.
#[test]
fn a_late_answer_to_a_reset_is_not_taken_for_the_answer_of_the_new_boot() {
    let mut session = Session::new(Framing::Stream, 1, Patience::default());
    session.ask(0, Request::Reset { boot_nonce: 7 });
    let reset = asked(&mut session);
    let late_us = Patience::default().silence_us;
    session.handle_timeout(late_us);
    assert!(matches!(session.poll_event(), Some(Event::NoAnswer)));
    while session.poll_transmit().is_some() {}
    session.ask(late_us, Request::Renew);
    let renew = asked(&mut session);
    session.handle_bytes(late_us + 1, &said(reset, Ok(Reply::Done(How::Done))));
    assert!(session.poll_event().is_none(), "the reset's answer is not this question's");
    session.handle_bytes(late_us + 2, &said(renew, Err(Refusal::StaleSession)));
    let Some(Event::Answer(answer)) = session.poll_event() else { panic!("its own answer counts") };
    assert_eq!(answer.reply(), Err(Refusal::StaleSession));
}

/// The id of the request that the session has just put out.
fn asked(session: &mut Session) -> u32 {
    let wire = session.poll_transmit().expect("a request goes out");
    let mut decoder = Decoder::new(session.framing, vec![0; MAX_UNIT_BYTES]);
    let Some(Unit::Frame(frame)) = decoder.feed(&mut wire.as_slice()) else {
        panic!("it is one frame")
    };
    let (_, payload) = Header::split(frame).unwrap();
    message::request_id(payload).unwrap()
}

/// The device's answer to request `id`, as it travels.
fn said(id: u32, reply: Result<Reply<'_>, Refusal>) -> Vec<u8> {
    let mut payload = [0; message::MAX_REPLY_BYTES];
    let payload = message::encode(&FromDevice::Reply { id, reply }, &mut payload).unwrap();
    let mut wire = vec![0; Framing::Stream.wire_bytes(payload.len() + HEADER_BYTES)];
    let header = Header { kind: Kind::Message, sequence: 0 };
    let length = Framing::Stream.encode(header, payload, &mut wire).unwrap();
    wire.truncate(length);
    wire
}
