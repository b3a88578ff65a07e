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

#[test]
fn a_caller_that_has_less_time_gives_work_up_sooner() {
    let patience = Patience { work_us: 5_000_000, ..Patience::default() };
    let mut session = Session::new(Framing::Stream, 1, patience);
    session.ask(0, Request::RunCheck { index: 0 });
    let id = asked(&mut session);
    let mut now_us = 0;
    while session.poll_event().is_none() {
        now_us += 100_000;
        session.handle_bytes(now_us, &said(id, Ok(Reply::Working { left_bytes: 1 })));
        session.handle_timeout(now_us);
        assert!(now_us < 60_000_000, "never given up");
    }
    let limit_us = patience.work_us + patience.silence_us;
    assert!((patience.silence_us..=limit_us).contains(&now_us), "after {now_us} us");
}

/// It would keep a person who only looks at the device waiting without a word.
#[test]
fn a_device_that_says_working_to_a_question_is_as_good_as_silent() {
    let mut session = Session::new(Framing::Stream, 1, Patience::default());
    session.ask(0, Request::RootStatus);
    let id = asked(&mut session);
    let silence_us = Patience::default().silence_us;
    for now_us in (0..silence_us).step_by(100_000) {
        session.handle_bytes(now_us, &said(id, Ok(Reply::Working { left_bytes: 1 })));
        assert!(session.poll_event().is_none(), "{now_us}");
    }
    session.handle_timeout(silence_us);
    assert!(matches!(session.poll_event(), Some(Event::NoAnswer)));
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

/// `Busy` says that nothing was begun: the same is asked anew, and only a device that stays busy is told
/// of.
#[test]
fn a_busy_device_is_asked_anew_until_it_has_time_or_ten_seconds_are_over() {
    for busy_for in [0, 1, 7, usize::MAX] {
        let mut session = Session::new(
            Framing::Stream,
            1,
            Patience { silence_us: 1_000_000, ..Patience::default() },
        );
        session.ask(0, Request::RunCheck { index: 3 });
        let (mut now_us, mut ids) = (0, Vec::new());
        let answer = loop {
            let (id, request) = put_out(&mut session);
            assert_eq!(request, "RunCheck { index: 3 }");
            assert!(
                !ids.contains(&id),
                "{ids:?} and again {id}: a kept answer would be said again"
            );
            ids.push(id);
            now_us += 1_000;
            let reply =
                if ids.len() > busy_for { Ok(Reply::Done(How::Done)) } else { Err(Refusal::Busy) };
            session.handle_bytes(now_us, &said(id, reply));
            match session.poll_event() {
                Some(Event::Answer(answer)) => break answer,
                Some(other) => panic!("no answer: {other:?}"),
                None => now_us = session.deadline_us().unwrap(),
            }
            session.handle_timeout(now_us);
        };
        if busy_for == usize::MAX {
            assert_eq!(answer.reply(), Err(Refusal::Busy));
            assert!((MAX_BUSY_US..MAX_BUSY_US + 1_000_000).contains(&now_us), "{now_us} us");
            assert!(ids.len() > 20, "asked {} times", ids.len());
        } else {
            assert_eq!((answer.reply(), ids.len()), (Ok(Reply::Done(How::Done)), busy_for + 1));
        }
    }
}

/// One word for each other: neither the limit of the work nor that of being busy is ever reached by itself.
#[test]
fn a_device_that_is_busy_and_works_in_turn_is_given_up() {
    for (request, limit_us) in [
        (Request::Identify, MAX_BUSY_US),
        (Request::Enroll, MAX_STORING_US),
        (Request::RunCheck { index: 3 }, MAX_WORKING_US),
    ] {
        let mut session = Session::new(Framing::Stream, 1, Patience::default());
        session.ask(0, request);
        let (mut now_us, mut id) = (0, asked(&mut session));
        let mut is_busy = false;
        loop {
            now_us += 500_000;
            session.handle_timeout(now_us);
            while let Some(wire) = session.poll_transmit() {
                id = id_and_request(&session, &wire).0;
            }
            is_busy = !is_busy;
            let busy = is_busy.then_some(Err(Refusal::Busy));
            let reply = busy.unwrap_or(Ok(Reply::Working { left_bytes: 1 }));
            session.handle_bytes(now_us, &said(id, reply));
            if session.poll_event().is_some() {
                break;
            }
            assert!(now_us < 1_000_000_000, "never given up");
        }
        let bound_us = limit_us + Patience::default().silence_us + 1_000_000;
        assert!((limit_us..=bound_us).contains(&now_us), "{request:?}: after {now_us} us");
    }
}

/// The id of the request that the session has just put out.
fn asked(session: &mut Session) -> u32 {
    put_out(session).0
}

/// The id of the request that the session has just put out, and the request.
fn put_out(session: &mut Session) -> (u32, String) {
    let wire = session.poll_transmit().expect("a request goes out");
    id_and_request(session, &wire)
}

fn id_and_request(session: &Session, wire: &[u8]) -> (u32, String) {
    let mut decoder = Decoder::new(session.framing, vec![0; MAX_UNIT_BYTES]);
    let Some(Unit::Frame(frame)) = decoder.feed(&mut &*wire) else { panic!("it is one frame") };
    let (_, payload) = Header::split(frame).unwrap();
    let asked: ToDevice<'_> = message::decode(payload).unwrap();
    (asked.id, format!("{:?}", asked.request))
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
