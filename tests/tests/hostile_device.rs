//! A hostile device against the host: whatever it says and however slowly, a command ends in its time and with its exit
//! code, keeps its memory, and shows nobody a character that does anything (issue 4; PROTOCOL.md, "Pace").
#![expect(clippy::unwrap_used, reason = "clippy.toml excuses test functions, not their helpers")]
#![expect(clippy::wildcard_enum_match_arm, reason = "a twist is about few requests")]

use std::fs;
use std::process::Command;
use std::thread;
use std::time::Duration;

use firmware_protocol::delegation::Actions;

use firmware_protocol::digest::Digest;
use firmware_protocol::frame::Kind;
use firmware_protocol::message::{
    Ack, AreaInfo, CheckStatus, FromDevice, How, LinkCounters, Reading, Reply, Request, Wear,
};
use firmware_protocol::refusal::Refusal;
use firmware_protocol::slot::{PerSlot, SlotId};
use firmware_protocol::version::Version;
use integration::cli::noflake_binary;
use integration::field::FieldOffice;
use integration::hostile::{
    self, BLOCK_BYTES, Heard, Outcome, PORTS, Plausible, Port, Then, Twist, asks, record, run,
    run_command,
};
use integration::site::{QUICK_PLAN, Release, Site, plan_with};
use noflake::bundle::Bundle;

/// Text of everything that does something to somebody: a terminal's title and clipboard, its cursor, the order of what is
/// read, a log's lines, a CI that reads it.
const EVIL: &str = "\u{1b}]52;c;cm0gLXJm\u{7}\u{1b}]0;owned\u{7}\u{1b}[2J\u{9b}1A\u{202e}drow\u{2066}\0\u{7f}\r\n::error::x\n##vso[task.complete]";
/// Between two words of a rogue that never stops.
const OFTEN: Duration = Duration::from_millis(20);

/// A command against a rogue.
struct Case {
    what: &'static str,
    /// How it has to end.
    code: i32,
    /// What it has to say.
    says: &'static str,
    within_s: u64,
    twist: fn() -> Twist,
}

/// Runs every case in a thread of its own on each port; `arguments` names the command for a site and an address.
#[track_caller]
fn all(ports: &[Port], cases: &[Case], command: impl Fn(&Site, &str) -> Vec<String> + Sync) {
    thread::scope(|scope| {
        let command = &command;
        for case in cases {
            for port in ports {
                scope.spawn(move || {
                    let what = format!("{} ({port:?})", case.what);
                    let site = Site::new();
                    let address = hostile::start(*port, stranger(), (case.twist)());
                    let arguments = command(&site, &address);
                    let _ = judged(&what, &site, &arguments, case);
                });
            }
        }
    });
}

fn judged(what: &str, site: &Site, arguments: &[String], case: &Case) -> Outcome {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = run(what, site, &arguments, Duration::from_secs(case.within_s));
    let said = format!("{}{}", outcome.ended.stdout, outcome.ended.stderr);
    assert_eq!(outcome.ended.code, Some(case.code), "{what}: {said}");
    assert!(said.contains(case.says), "{what}: not {:?} in {said}", case.says);
    outcome
}

fn words(command: &str, address: &str) -> Vec<String> {
    let words = command.split(' ').chain(["-d", address]);
    words.map(str::to_owned).collect()
}

/// A device that no bundle is meant for.
const fn stranger() -> Plausible {
    Plausible::new(Digest([9; 32]), Vec::new())
}

/// Answers as a healthy device, but for a request that `is_it`; `answer` is given its id.
fn instead(
    is_it: impl Fn(&Request<'_>) -> bool + Send + 'static,
    mut answer: impl FnMut(u32, &hostile::Mouth, &mut Plausible) -> Then + Send + 'static,
) -> Twist {
    Box::new(move |heard, mouth, device| match asks(heard, &is_it) {
        Some(id) => answer(id, mouth, device),
        None => Then::AsUsual,
    })
}

/// Says nothing but what `next` gives, over and over from the first word on; answers as a healthy device beside it, if at
/// all.
fn beside(
    then: Then,
    pause: Duration,
    next: impl Fn(&hostile::Mouth) -> Vec<u8> + Send + Clone + 'static,
) -> Twist {
    instead(
        |request| matches!(request, Request::Hello { .. }),
        move |_, mouth, _| {
            let (own, next) = (mouth.clone(), next.clone());
            mouth.for_ever(pause, move || next(&own));
            then
        },
    )
}

fn any(_: &Request<'_>) -> bool {
    true
}

const fn is_hello(request: &Request<'_>) -> bool {
    matches!(request, Request::Hello { .. })
}

#[test]
fn whoever_never_answers_what_was_asked_is_given_up() {
    let out_of_reach =
        |what, twist| Case { what, code: 3, says: "no device answers at", within_s: 60, twist };
    let cases = [
        out_of_reach("frames that nobody asked for", || {
            Box::new(|_, mouth, device| {
                let (own, hello) = (mouth.clone(), device.hello());
                mouth.for_ever(Duration::ZERO, move || {
                    own.message(&FromDevice::Reply { id: 0, reply: Ok(hello.clone()) }).repeat(50)
                });
                Then::Nothing
            })
        }),
        out_of_reach("the first answer for ever", || {
            instead(any, |id, mouth, device| {
                let (own, hello) = (mouth.clone(), device.hello());
                mouth.for_ever(OFTEN, move || {
                    own.message(&FromDevice::Reply { id, reply: Ok(hello.clone()) })
                });
                Then::Nothing
            })
        }),
        out_of_reach("answers to another request", || {
            Box::new(|heard, mouth, device| match heard {
                Heard::Request(asked) => {
                    mouth.reply(asked.id.wrapping_add(1), device.answer(asked.request))
                }
                Heard::Chunk(..) | Heard::Other(_) => Then::Nothing,
            })
        }),
        out_of_reach("acknowledgements for an answer", || {
            let ack = Ack { highest: u32::MAX, below: u64::MAX, taken: true, credit_blocks: 9 };
            instead(any, move |_, mouth, _| mouth.ack(ack))
        }),
        out_of_reach("a frame without an end", || {
            beside(Then::Nothing, OFTEN, |_| vec![0xff; 4_096])
        }),
        out_of_reach("frames too long to be taken", || {
            beside(Then::Nothing, OFTEN, |mouth| mouth.frame(Kind::Message, &vec![1; 60_000]))
        }),
        out_of_reach("a handshake for an answer", || {
            instead(any, |_, mouth, _| {
                mouth.bytes(&mouth.frame(Kind::Handshake, &[2; 97]));
                mouth.bytes(&mouth.frame(Kind::SealedMessage, &[4; 300]));
                Then::Nothing
            })
        }),
        out_of_reach("a byte a time", || {
            instead(any, |id, mouth, device| {
                let reply = mouth.message(&FromDevice::Reply { id, reply: Ok(device.hello()) });
                mouth.trickle(reply, Duration::from_millis(900))
            })
        }),
        out_of_reach("busy and at work in turn", || {
            let mut is_busy = false;
            instead(any, move |id, mouth, _| {
                is_busy = !is_busy;
                mouth.reply(id, Err(Refusal::Busy));
                mouth.reply(id.wrapping_add(1), Ok(Reply::Working { left_bytes: 1 }))
            })
        }),
    ];
    let hangs_up = [out_of_reach("a connection that ends at once, again and again", || {
        Box::new(|_, _, _| Then::HangUp)
    })];
    thread::scope(|scope| {
        let identify = |_: &Site, address: &str| words("-vv device identify", address);
        scope.spawn(move || all(&[Port::Tcp], &hangs_up, identify));
        all(&PORTS, &cases, |_, address| words("-vv device status", address));
    });
}

/// Just below the patience with one answer: a few such answers are waited for, and no more.
fn just_in_time() -> Twist {
    Box::new(|heard, mouth, device| match heard {
        Heard::Request(asked) if is_hello(&asked.request) => Then::AsUsual,
        Heard::Request(asked) => {
            let reply = device.answer(asked.request);
            let said = mouth.message(&FromDevice::Reply { id: asked.id, reply });
            mouth.later(said, Duration::from_secs(7))
        }
        Heard::Chunk(..) | Heard::Other(_) => Then::AsUsual,
    })
}

#[test]
fn answers_that_each_come_just_in_time_are_not_waited_for_without_end() {
    let slow =
        |code, says| Case { what: "just in time", code, says, within_s: 60, twist: just_in_time };
    let in_session = [slow(3, "the device is too slow to tell who it is: ")];
    let case = |what, says, twist| Case { what, code: 3, says, within_s: 60, twist };
    let records = [
        case(
            "record just in time",
            "too slow to tell its boot record: 4 answers within 24 s",
            || {
                instead(is_record, |id, mouth, _| {
                    let reply = Ok(record(4_080, 255));
                    let said = mouth.message(&FromDevice::Reply { id, reply });
                    mouth.later(said, Duration::from_secs(7))
                })
            },
        ),
        case("unreadable just in time", "too slow to tell its boot record", || {
            let mut asked = 0;
            instead(is_record, move |id, mouth, _| {
                asked += 1;
                if asked == 1 {
                    return mouth.reply(id, Ok(record(4_080, 0)));
                }
                let said = mouth.message(&FromDevice::Reply { id, reply: Err(Refusal::Flash) });
                mouth.later(said, Duration::from_secs(7))
            })
        }),
    ];
    let enroll = "device enroll --root trust/root.nfr";
    thread::scope(|scope| {
        scope.spawn(|| all(&[Port::Tcp], &in_session, |_, address| words(enroll, address)));
        scope.spawn(|| {
            // A few answers are waited for, as those of a device far away.
            all(&[Port::Pty], &[slow(0, "HH-1")], |_, address| words("device identify", address));
        });
        all(&[Port::Tcp], &records, |_, address| words("device record -o out.bin", address));
    });
}

#[test]
fn a_boot_record_without_an_end_or_a_pace_is_not_read_for_ever() {
    let case = |what, says, twist| Case { what, code: 3, says, within_s: 60, twist };
    let cases = [
        case("record of 4 GiB", "answered out of turn to record bytes", || {
            instead(is_record, |id, mouth, _| mouth.reply(id, Ok(record(u32::MAX, 256))))
        }),
        case("record a byte a time", "answered out of turn to record bytes", || {
            instead(is_record, |id, mouth, _| mouth.reply(id, Ok(record(4 << 20, 1))))
        }),
        case("record of nothing", "answered out of turn to record bytes", || {
            instead(is_record, |id, mouth, _| mouth.reply(id, Ok(record(4_096, 0))))
        }),
    ];
    all(&[Port::Tcp], &cases, |_, address| words("device record -o out.bin", address));
}

const fn is_record(request: &Request<'_>) -> bool {
    matches!(request, Request::RecordBytes { .. })
}

#[test]
fn what_a_device_calls_itself_steers_nothing_and_breaks_nothing() {
    let case = |what, twist| Case { what, code: 0, says: "", within_s: 30, twist };
    let cases = [
        case("names", || {
            instead(is_identify, |id, mouth, device| {
                let identity = firmware_protocol::message::Identity {
                    product: EVIL,
                    hardware: EVIL,
                    serial: EVIL,
                    revision: u32::MAX,
                    version: Some(Version {
                        pre: "\u{9b}2J\u{202e}::x".try_into().unwrap(),
                        ..Version::new(u32::MAX, 0, 0)
                    }),
                    root_version: u32::MAX,
                    boot_nonce: u64::MAX,
                    areas: u8::MAX,
                    checks: u8::MAX,
                    ..device.identity()
                };
                mouth.reply(id, Ok(Reply::Identity(identity)))
            })
        }),
        case("numbers", || {
            Box::new(|heard, mouth, device| {
                let Heard::Request(asked) = heard else { return Then::AsUsual };
                let each = PerSlot { a: u32::MAX, b: u32::MAX };
                let reply = match asked.request {
                    Request::Hello { .. } => Reply::Hello {
                        version: 1,
                        max_frame_bytes: 0,
                        window_bytes: 0,
                        boot_nonce: 0,
                    },
                    Request::Wear => Reply::Wear(Wear {
                        slot_erases: each,
                        slot_blocks: PerSlot { a: 0, b: 0 },
                        record_entries: u32::MAX,
                        record_places: 0,
                    }),
                    Request::Status => {
                        let mut status = device.status();
                        (status.accept_floor, status.uptime_ms) = (u64::MAX, u64::MAX);
                        (status.record_entries, status.erases) = (u32::MAX, u32::MAX);
                        status.link = LinkCounters {
                            frames: u32::MAX,
                            payload_bytes: u64::MAX,
                            repeated_bytes: u64::MAX,
                        };
                        Reply::Status(status)
                    }
                    _ => return Then::AsUsual,
                };
                mouth.reply(asked.id, Ok(reply))
            })
        }),
    ];
    for command in
        ["-vv device status --explain", "--format json -vv device status", "device identify"]
    {
        all(&[Port::Tcp], &cases, |_, address| words(command, address));
    }
}

const fn is_identify(request: &Request<'_>) -> bool {
    matches!(request, Request::Identify)
}

#[test]
fn a_console_that_floods_steers_nothing_and_fills_no_memory() {
    let case = |what, twist| Case { what, code: 0, says: "", within_s: 30, twist };
    let cases = [
        case("lines of commands", || {
            beside(Then::AsUsual, Duration::from_millis(1), |mouth| {
                mouth.console(format!("{EVIL}\n{EVIL}\n").repeat(20).as_bytes())
            })
        }),
        case("a line without an end", || {
            beside(Then::AsUsual, Duration::ZERO, |mouth| {
                mouth.console(EVIL.replace('\n', "").repeat(40).as_bytes())
            })
        }),
        case("no text at all", || {
            beside(Then::AsUsual, Duration::ZERO, |mouth| {
                mouth.console(&[0xff, 0xc3, 0x28, 0x1b].repeat(900))
            })
        }),
    ];
    // On a serial line this is more than its rate, so frames are lost in it: on a socket, answers come between.
    for command in ["-vv device log --for 2s", "-vv --format json device log --for 2s"] {
        all(&[Port::Tcp], &cases, |_, address| words(command, address));
    }
}

/// A site with a bundle, and the device that awaits it.
fn awaited(plan: &str) -> (Site, String, Plausible) {
    let site = Site::new();
    let mut release = Release::new("1.1.0").plan(plan);
    release.block_size = Some(BLOCK_BYTES);
    let lengths = [release.app[1].len(), release.config.len()];
    let path = site.bundle(&release);
    let digest = Bundle::open(path.as_ref()).unwrap().digest();
    let device =
        Plausible::new(digest, lengths.map(|length| u32::try_from(length).unwrap()).to_vec());
    (site, path, device)
}

/// Deploys to a rogue of every case, each in a thread of its own.
#[track_caller]
fn deploys(ports: &[Port], plan: &str, cases: &[Case]) {
    thread::scope(|scope| {
        for case in cases {
            for port in ports {
                scope.spawn(move || {
                    let (site, bundle, device) = awaited(plan);
                    let address = hostile::start(*port, device, (case.twist)());
                    let deploy = ["-vv", "deploy", &bundle, "-d", &address].map(str::to_owned);
                    let _ = judged(&format!("{} ({port:?})", case.what), &site, &deploy, case);
                });
            }
        }
    });
}

/// Without a twist the rogue gets everything that it wants: what the other tests see is their twist's doing.
#[test]
fn a_liar_without_a_twist_is_believed() {
    let healthy: fn() -> Twist = || Box::new(|_, _, _| Then::AsUsual);
    let case = Case { what: "healthy", code: 0, says: "", within_s: 60, twist: healthy };
    deploys(&PORTS, QUICK_PLAN, &[case]);
}

const UNTOUCHED: &str = "staging was interrupted";

#[test]
fn a_stage_that_gets_nowhere_ends_and_can_be_gone_on_with() {
    let case = |what, says, twist| Case { what, code: 3, says, within_s: 90, twist };
    let cases = [
        case("credit of zero for ever", "has got no further than 0 of", || {
            let none = Ack { highest: 0, below: 0, taken: false, credit_blocks: 0 };
            chunks(move |_, mouth| {
                let own = mouth.clone();
                mouth.for_ever(OFTEN, move || own.message(&FromDevice::Ack(none)));
                Then::Nothing
            })
        }),
        case("nothing is taken", "makes no progress while blocks were sent", || {
            chunks(|highest, mouth| {
                mouth.ack(Ack { highest, below: 0, taken: false, credit_blocks: 8 })
            })
        }),
        case(
            "acknowledges what was never sent",
            "makes no progress while blocks were sent",
            || {
                chunks(|_, mouth| {
                    mouth.ack(Ack {
                        highest: 0x7fff_ffff,
                        below: 0,
                        taken: false,
                        credit_blocks: 8,
                    })
                })
            },
        ),
        case("takes everything and keeps nothing", "has got no further than", || {
            instead(is_missing, |id, mouth, _| {
                let bits = [1].as_slice().try_into().unwrap();
                mouth.reply(id, Ok(Reply::Missing { first_block: 0, missing: 1, bits }))
            })
        }),
        case("busy for ever", UNTOUCHED, || {
            instead(is_stage, |id, mouth, _| mouth.reply(id, Err(Refusal::Busy)))
        }),
        case("blocks without number", UNTOUCHED, || {
            instead(is_open, |id, mouth, _| {
                let reply = Reply::Component { blocks: u32::MAX, worth_listing: true };
                mouth.reply(id, Ok(reply))
            })
        }),
        case("holds more than was offered", UNTOUCHED, || {
            instead(is_stage, |id, mouth, _| {
                mouth.reply(id, Ok(Reply::Offered { held_bytes: u32::MAX }))
            })
        }),
        case("found done under another digest", "it has read another bundle back", || {
            Box::new(|heard, mouth, device| {
                if let Some(id) = asks(heard, is_stage) {
                    let reply = Reply::Stage { slot: SlotId::B, how: How::FoundDone };
                    return mouth.reply(id, Ok(reply));
                }
                device.bundle = Digest([0; 32]);
                Then::AsUsual
            })
        }),
        case("the slot that runs", UNTOUCHED, || {
            instead(is_stage, |id, mouth, _| {
                mouth.reply(id, Ok(Reply::Stage { slot: SlotId::A, how: How::Done }))
            })
        }),
    ];
    deploys(&[Port::Tcp], QUICK_PLAN, &cases);
}

/// Whatever it does meanwhile: it works, it takes chunk after chunk, and none in the time that the plan has.
#[test]
fn a_stage_takes_no_longer_than_the_plan_gives_the_run() {
    let case = |what, twist| Case { what, code: 3, says: UNTOUCHED, within_s: 60, twist };
    let cases = [
        case("at work for ever", || {
            instead(
                |request| matches!(request, Request::Finish),
                |id, mouth, _| mouth.reply(id, Ok(Reply::Working { left_bytes: 1 })),
            )
        }),
        case("a chunk now and then", || {
            Box::new(|heard, _, _| {
                if matches!(heard, Heard::Chunk(..)) {
                    thread::sleep(Duration::from_millis(700));
                }
                Then::AsUsual
            })
        }),
        case("acknowledgements a byte a time", || {
            Box::new(|heard, mouth, device| {
                let Heard::Chunk(sequence, chunk) = heard else { return Then::AsUsual };
                let ack = device.take(sequence, &chunk);
                for byte in mouth.message(&FromDevice::Ack(ack)).chunks(1) {
                    thread::sleep(Duration::from_millis(60));
                    mouth.bytes(byte);
                }
                Then::Nothing
            })
        }),
        case("one digest a time", || {
            let mut blocks = 0;
            Box::new(move |heard, mouth, _| {
                let Heard::Request(asked) = heard else { return Then::AsUsual };
                let reply = match asked.request {
                    Request::OpenComponent { .. } => {
                        Reply::Component { blocks: 24, worth_listing: true }
                    }
                    Request::BlockList { .. } => {
                        blocks += 1;
                        thread::sleep(Duration::from_secs(1));
                        Reply::Listed { blocks }
                    }
                    _ => return Then::AsUsual,
                };
                mouth.reply(asked.id, Ok(reply))
            })
        }),
    ];
    let plan = QUICK_PLAN.replace("run = \"60s\"", "run = \"6s\"");
    deploys(&PORTS, &plan, &cases);
}

fn chunks(answer: impl Fn(u32, &hostile::Mouth) -> Then + Send + 'static) -> Twist {
    Box::new(move |heard, mouth, _| match heard {
        Heard::Chunk(sequence, _) => answer(sequence, mouth),
        Heard::Request(_) | Heard::Other(_) => Then::AsUsual,
    })
}

const fn is_missing(request: &Request<'_>) -> bool {
    matches!(request, Request::Missing { .. })
}

const fn is_stage(request: &Request<'_>) -> bool {
    matches!(request, Request::Stage { .. })
}

const fn is_open(request: &Request<'_>) -> bool {
    matches!(request, Request::OpenComponent { .. })
}

const fn is_run_check(request: &Request<'_>) -> bool {
    matches!(request, Request::RunCheck { .. })
}

/// What a device says on trial, and of its trial.
#[test]
fn a_trial_of_lies_ends_in_its_time_and_commits_nothing() {
    let case = |what, code, says, twist| Case { what, code, says, within_s: 100, twist };
    let cases = [
        case("confirmed, and runs the old one", 3, "it runs version 1.0.0 in slot A", || {
            let mut is_over = false;
            Box::new(move |heard, _, device| {
                is_over |= asks(heard, |it| matches!(it, Request::Confirm { .. })).is_some();
                if is_over {
                    device.running = SlotId::A;
                }
                Then::AsUsual
            })
        }),
        case("boots another bundle", 3, "no verdict", || {
            Box::new(|heard, _, device| {
                if asks(heard, is_hello).is_some() && device.running == SlotId::B {
                    device.bundle = Digest([0x5a; 32]);
                }
                Then::AsUsual
            })
        }),
        case("another boot for every question", 3, "", || {
            Box::new(|heard, _, device| {
                if device.running == SlotId::B && asks(heard, any).is_some() {
                    device.boot += 1;
                }
                Then::AsUsual
            })
        }),
        case("hangs up for ever behind its reset", 3, "", || {
            Box::new(|_, _, device| match device.running {
                SlotId::A => Then::AsUsual,
                SlotId::B => Then::HangUp,
            })
        }),
        case("works on a check for ever", 3, "", || {
            instead(is_run_check, |id, mouth, _| {
                mouth.reply(id, Ok(Reply::Working { left_bytes: 1 }))
            })
        }),
        case("confirms for ever", 3, "", || {
            instead(
                |request| matches!(request, Request::Confirm { .. }),
                |id, mouth, _| mouth.reply(id, Err(Refusal::Busy)),
            )
        }),
    ];
    let plan = QUICK_PLAN.replace("run = \"60s\"", "run = \"10s\"");
    let plan = plan.replace("connect = \"20s\"", "connect = \"4s\"");
    deploys(&[Port::Tcp], &plan, &cases);
}

/// On the terminal, in the log and in every file that a run leaves behind.
#[test]
fn what_a_device_measures_and_mutters_on_trial_steers_nothing() {
    let case = |what, code, twist| Case { what, code, says: "", within_s: 60, twist };
    let cases = [
        case("details", 1, || {
            instead(is_run_check, |id, mouth, _| {
                let detail = "\u{1b}[2J\u{9b}A\u{202e}\0\n::error::x\r##vso[x]".try_into().unwrap();
                let reading = Reading::Status { status: CheckStatus::Fail, detail };
                mouth.reply(id, Ok(Reply::Checked(reading)))
            })
        }),
        case("units and values past all measure", 3, || {
            Box::new(|heard, mouth, device| {
                let Heard::Request(asked) = heard else { return Then::AsUsual };
                let reply = match asked.request {
                    Request::RunCheck { .. } => Reply::Checked(Reading::Value {
                        mantissa: i64::MIN,
                        exponent: i8::MAX,
                        unit: EVIL,
                    }),
                    Request::Check { .. } => Reply::Check(firmware_protocol::message::CheckInfo {
                        name: "rail",
                        gives: firmware_protocol::message::CheckGives::Value { unit: EVIL },
                    }),
                    Request::Identify => {
                        let checks = u8::MAX;
                        let own = device.identity();
                        Reply::Identity(firmware_protocol::message::Identity { checks, ..own })
                    }
                    Request::Area { .. } => Reply::Area(AreaInfo {
                        name: "\u{1b}[2J\n::x".try_into().unwrap(),
                        bytes: PerSlot { a: 0, b: u32::MAX },
                    }),
                    _ => return Then::AsUsual,
                };
                mouth.reply(asked.id, Ok(reply))
            })
        }),
        case("a flood of console", 0, || {
            let mut is_on = false;
            Box::new(move |_, mouth, _| {
                if !std::mem::replace(&mut is_on, true) {
                    let own = mouth.clone();
                    mouth.for_ever(Duration::from_millis(2), move || {
                        own.console(format!("{EVIL}\n").repeat(50).as_bytes())
                    });
                }
                Then::AsUsual
            })
        }),
    ];
    let rail =
        "id = \"rail\"\nkind = \"measure\"\nsource = \"rail\"\nunit = \"V\"\nlimits = { ge = 3 }";
    deploys(&[Port::Tcp], QUICK_PLAN, &cases[..1]);
    deploys(&[Port::Tcp], &plan_with(rail), &cases[1..2]);
    let log = "id = \"log\"\nkind = \"log\"\nwindow = \"3s\"\nforbid = [\"never said\"]";
    deploys(&[Port::Tcp], &plan_with(log), &cases[2..]);
}

/// More console than a record takes, between hundreds of answers: what is over is dropped, and said so, and the reports of the
/// run are made all the same.
#[test]
fn a_flood_of_console_through_a_qualification_fills_neither_memory_nor_disk() {
    let (site, bundle, device) = awaited(QUICK_PLAN);
    let mut is_on = false;
    let flood: Twist = Box::new(move |_, mouth, _| {
        if !std::mem::replace(&mut is_on, true) {
            let own = mouth.clone();
            let line = "\u{202e}\u{1b}[31m".repeat(100) + "\n";
            // A pause, in which its answers have their turn: without, they drown, and there is no run.
            mouth.for_ever(Duration::from_millis(2), move || {
                own.console(line.repeat(20).as_bytes())
            });
        }
        Then::AsUsual
    });
    let address = hostile::start(Port::Tcp, device, flood);
    let link = "id = \"link\"\nkind = \"link\"\nmetric = \"loss\"\ncount = 60\ninterval = \"10ms\"\nunit = \"%\"\nlimits = { le = 100 }";
    let plan = plan_with(link).replace("run = \"60s\"", "run = \"5m\"");
    let plan = site.write("bench.toml", &plan);
    let qualify = ["qualify", &bundle, "--plan", plan.to_str().unwrap(), "-d", &address];
    let outcome = run("qualify in a flood", &site, &qualify, Duration::from_secs(100));
    assert_eq!(outcome.ended.code, Some(0), "{:?}", outcome.ended);
    let record = site.runs()[0].join("record.jsonl");
    let bytes = fs::metadata(&record).unwrap().len();
    assert!(bytes < 64 << 20, "the record has {bytes} bytes");
    let run_folder = site.runs()[0].display().to_string();
    let shown =
        run("a report of it", &site, &["report", "show", &run_folder], Duration::from_secs(60));
    assert_eq!(shown.ended.code, Some(0), "{:?}", shown.ended);
}

/// Frames of a handshake by the hundred, well formed and not; the host is one that shows a delegation to nobody it does not know.
#[test]
fn a_handshake_of_garbage_makes_no_sealed_link() {
    let works = FieldOffice::new();
    let _ = works.delegate("t", &[]).code(0);
    let garbage: Twist = Box::new(|heard, mouth, _| {
        if matches!(heard, Heard::Other(Kind::Handshake)) {
            for length in [0, 1, 32, 96, 97, 98, 1_000] {
                mouth.bytes(&mouth.frame(Kind::Handshake, &vec![2; length]));
                mouth.bytes(&mouth.frame(Kind::SealedMessage, &vec![4; length]));
            }
            mouth.reply(0, Ok(Reply::Linked { actions: Actions::ALL }));
        }
        Then::Nothing
    });
    let address = hostile::start(Port::Tcp, stranger(), garbage);
    let site = &works.office.site;
    let _ = fs::write(site.path("secret"), "secret\n");
    let script = "exec \"$0\" device identify -d \"$1\" --as t.key --passphrase-fd 3 3<secret";
    let mut shell = Command::new("sh");
    shell.args(["-c", script]).arg(noflake_binary()).arg(&address);
    let outcome = run_command("a handshake of garbage", site, shell, Duration::from_secs(60));
    assert_eq!(outcome.ended.code, Some(3), "{:?}", outcome.ended);
    let _ = outcome.ended.says("no device answers at");
}
