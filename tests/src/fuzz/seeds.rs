//! What the corpora begin with: one good example of everything, from which a fuzzer goes on.

use std::fs;
use std::path::Path;

use firmware_protocol::bench_reset::BenchReset;
use firmware_protocol::certificate::{Certificate, CertifiedVerdict};
use firmware_protocol::delegation::{Actions, Delegation};
use firmware_protocol::digest::Digest;
use firmware_protocol::frame::{Framing, Header, Kind};
use firmware_protocol::manifest::HardwareRange;
use firmware_protocol::message::{FromDevice, How, Reply, Request, ToDevice};
use firmware_protocol::refusal::Refusal;
use firmware_protocol::sealed::{FIRST_BYTES, Initiator, LinkSecret, Responder, SECOND_BYTES};
use firmware_protocol::trust::{BodyType, Envelope};
use noflake::bundle::Bundle;
use noflake::trust::{Hex, Signer, seal};
use serde::Serialize;

use crate::site::{RELEASE_KEY, Release, STRANGER_KEY, Site, plan_with, root_record};

/// A corpus file: its target, its name, its bytes.
pub type Seed = (&'static str, String, Vec<u8>);

/// One good example of everything.
///
/// # Panics
/// When an example cannot be made.
pub fn seeds() -> Vec<Seed> {
    let mut seeds = Vec::new();
    wire(&mut seeds);
    documents(&mut seeds);
    devices(&mut seeds);
    files(&mut seeds);
    seeds
}

fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    postcard::to_stdvec(value).expect("it encodes")
}

fn framed(framing: Framing, kind: Kind, sequence: u32, payload: &[u8]) -> Vec<u8> {
    let mut wire = vec![0; framing.wire_bytes(payload.len() + 5)];
    let written = framing.encode(Header { kind, sequence }, payload, &mut wire);
    wire.truncate(written.expect("it has room"));
    wire
}

fn asked(id: u32, session: u32, request: Request<'_>) -> Vec<u8> {
    encode(&ToDevice { id, session, request })
}

fn wire(seeds: &mut Vec<Seed>) {
    let hello = asked(1, 0, Request::Hello { min: 1, current: 1 });
    for (name, framing) in [("serial", Framing::Serial), ("stream", Framing::Stream)] {
        let frames = [
            framed(framing, Kind::Message, 0, &hello),
            b"boot: slot A\r\n".to_vec().repeat(usize::from(framing == Framing::Serial)),
            framed(framing, Kind::Chunk, 1, &[9; 60]),
        ];
        seeds.push(("frame", name.into(), [&[4][..], &frames.concat()].concat()));
    }
    let offer = Request::Offer { total_bytes: 900, offset: 0, bytes: &[5; 40] };
    for (name, bytes) in [
        ("hello", hello),
        ("offer", asked(2, 77, offer)),
        ("confirm", asked(3, 77, Request::Confirm { trial_id: 4, boot_nonce: 5 })),
        ("done", encode(&FromDevice::Reply { id: 3, reply: Ok(Reply::Done(How::Done)) })),
        ("busy", encode(&FromDevice::Reply { id: 3, reply: Err(Refusal::Busy) })),
        ("console", encode(&FromDevice::Console(b"ready"))),
    ] {
        seeds.push(("message", name.into(), bytes));
    }
    let secret = |n| LinkSecret::new([n; 32]);
    let (mut first, mut second) = ([0; FIRST_BYTES], [0; SECOND_BYTES]);
    let (initiator, _) = Initiator::begin(&secret(1), &secret(2), &mut first).expect("room");
    let _ = Responder::answer(&secret(3), &secret(4), &first, &mut second).expect("room");
    let mut third = [0; 64];
    let _ = initiator.join(&second, &[], &mut third).expect("its own answer");
    for (name, bytes) in [("first", &first[..]), ("second", &second), ("third", &third)] {
        seeds.push(("handshake", name.into(), bytes.to_vec()));
    }
}

fn documents(seeds: &mut Vec<Seed>) {
    let site = Site::new();
    let bundle = site.bundle(&Release::new("2.0.0"));
    let bundle = Bundle::open(Path::new(&bundle)).expect("a good bundle");
    let manifest = Envelope::parse(bundle.envelope(), BodyType::Manifest).expect("its manifest");
    seeds.push(("manifest", "two-components".into(), manifest.body().to_vec()));
    seeds.push(("envelope", "manifest".into(), bundle.envelope().to_vec()));
    let root = root_record(STRANGER_KEY, RELEASE_KEY);
    let parsed = Envelope::parse(&root, BodyType::Root).expect("a good root record");
    seeds.push(("root_record", "first".into(), parsed.body().to_vec()));
    seeds.push(("envelope", "root".into(), root.clone()));
    let certificate = Certificate {
        product: "rover",
        hardware: [HardwareRange { id: "nav-1", first_revision: 1, last_revision: 9 }]
            .into_iter()
            .collect(),
        bundle: Digest([1; 32]),
        plan: Digest([2; 32]),
        verdict: CertifiedVerdict::Qualified,
        level: 2,
        epoch: 0,
        made_at_s: 1_700_000_000,
    };
    let delegation = Delegation {
        host: [3; 32],
        name: "technician",
        products: ["rover"].into_iter().collect(),
        serials: ["HH-*"].into_iter().collect(),
        actions: Actions::ALL,
        epoch: 0,
        not_after_s: 1_700_086_400,
        made_at_s: 1_700_000_000,
    };
    let reset = BenchReset {
        product: "rover",
        serial: "HH-7",
        boot_nonce: 5,
        floor: 4,
        epoch: 0,
        made_at_s: 1_700_000_000,
    };
    let stranger: [&dyn Signer; 1] = [&STRANGER_KEY];
    for (target, body_type, body) in [
        ("certificate", BodyType::Certificate, encode(&certificate)),
        ("delegation", BodyType::Delegation, encode(&delegation)),
        ("bench_reset", BodyType::BenchReset, encode(&reset)),
    ] {
        let sealed = seal(body_type, &body, &stranger).expect("signed");
        seeds.push(("envelope", target.into(), sealed));
        seeds.push((target, "good".into(), body));
    }
}

fn devices(seeds: &mut Vec<Seed>) {
    let hello = asked(1, 0, Request::Hello { min: 1, current: 1 });
    let open = asked(2, 0, Request::OpenSession { take_over: true, trial_id: 0 });
    let mut first = [1; 1 + FIRST_BYTES];
    let secret = |n| LinkSecret::new([n; 32]);
    let _ = Initiator::begin(&secret(1), &secret(2), &mut first[1..]).expect("room");
    let said = |port: u8, framing, kind, payload: &[u8]| {
        let wire = framed(framing, kind, 1, payload);
        [&[port, u8::try_from(wire.len()).unwrap_or(u8::MAX)], wire.as_slice()].concat()
    };
    let both = [
        said(0, Framing::Serial, Kind::Message, &hello),
        said(0, Framing::Serial, Kind::Message, &open),
        said(1, Framing::Stream, Kind::Message, &hello),
        said(1, Framing::Stream, Kind::Handshake, &first),
    ];
    seeds.push(("device_link", "hello-open-handshake".into(), both.concat()));
    let handshake = said(1, Framing::Stream, Kind::Handshake, &first);
    let again = [&handshake[..], &[1, 0], &handshake, &[2, 0, 1, 0], &handshake].concat();
    seeds.push(("device_link", "connections-that-end".into(), again));
    // A mark in the record, a byte of the root record, an erased stretch of a manifest.
    seeds.push((
        "device_flash",
        "here-and-there".into(),
        [
            vec![0, 0xfc, 0x01, 4, 0, 0, 0, 0],
            vec![2, 0x30, 0x00, 1, 0x55],
            [vec![4, 0x00, 0x00, 64], vec![0xff; 64]].concat(),
        ]
        .concat(),
    ));
    let reply = |reply| encode(&FromDevice::Reply { id: 1, reply });
    let hello =
        Reply::Hello { version: 1, max_frame_bytes: 1_200, window_bytes: 8_192, boot_nonce: 9 };
    for (name, mode, framing) in [("asked", 0, Framing::Serial), ("transfer", 5, Framing::Stream)] {
        let frames = [
            framed(framing, Kind::Message, 0, &reply(Ok(hello.clone()))),
            framed(framing, Kind::Message, 1, &reply(Err(Refusal::Busy))),
        ];
        seeds.push(("host_link", name.into(), [&[mode], frames.concat().as_slice()].concat()));
    }
    let mut second = vec![2; 97];
    second[1..].fill(7);
    let wire = framed(Framing::Stream, Kind::Handshake, 0, &second);
    seeds.push(("host_link", "handshake".into(), [&[3], wire.as_slice()].concat()));
}

fn files(seeds: &mut Vec<Seed>) {
    let site = Site::new();
    let plan = plan_with("id = \"again\"\nkind = \"identity\"");
    let bundle = site.bundle(&Release::sized("2.0.0", 3_000));
    seeds.push(("bundle", "small".into(), fs::read(&bundle).expect("a bundle")));
    seeds.push(("plan", "identity".into(), plan.into()));
    let scenario = "schema = \"hwsim/1\"\n[device]\nserial = \"S\"\n[[image]]\nversion = \"2.0.0\"\nbehaviour = \"crashes\"\n";
    seeds.push(("scenario", "crashes".into(), scenario.into()));
    let _ = site.deploy(&bundle, "sim:").code(0);
    let run = site.runs().pop().expect("a run");
    let record = fs::read_to_string(run.join("record.jsonl")).expect("its record");
    seeds.push(("record_file", "committed".into(), of_no_machine(&record).into_bytes()));
    seeds.push(("signatures_file", "begin-and-end".into(), signatures().into_bytes()));
    let device = crate::fuzz::device::enrolled();
    let ranges = device.layout().record();
    let flash = device.flash();
    let flash = flash.lock();
    let bytes = ranges.map(|range| flash.view(range).expect("inside the flash").into_owned());
    seeds.push(("boot_record_file", "enrolled".into(), bytes.concat()));
}

/// A record whose command line and bench are nobody's, chained anew (EVIDENCE.md, "The chain").
fn of_no_machine(record: &str) -> String {
    let mut prev = Digest::of(b"noflake record v1\n").to_string();
    let mut before = prev.clone();
    let mut text = String::new();
    for line in record.lines() {
        let own = format!("{line}\n");
        let mut line = own.replace(&before, &prev);
        for (key, value) in [("commandLine", "noflake deploy x.nfb -d sim:"), ("bench", "bench")] {
            let start = line.find(&format!("\"{key}\":\"")).map(|at| at + key.len() + 4);
            if let Some((start, len)) = start.and_then(|at| Some((at, line[at..].find('"')?))) {
                line.replace_range(start..start + len, value);
            }
        }
        before = Digest::of(own.as_bytes()).to_string();
        prev = Digest::of(line.as_bytes()).to_string();
        text.push_str(&line);
    }
    text
}

/// What a bench has signed of the record of the corpus: its first line, and all of it (EVIDENCE.md).
fn signatures() -> String {
    let record = super::files::signed_record();
    let lines: Vec<&[u8]> = record.split_inclusive(|byte| *byte == b'\n').collect();
    let signature = |count: usize| {
        let head = Digest::of(lines[count - 1]);
        let message = [&b"noflake-evidence-1"[..], &(count as u64).to_le_bytes(), &head.0].concat();
        let signature = STRANGER_KEY.sign(&message).expect("signed");
        format!(
            "{{\"head\":\"{head}\",\"lines\":{count},\"public_key\":\"{}\",\"signature\":\"{}\"}}\n",
            Hex(&STRANGER_KEY.public_key()),
            Hex(&signature)
        )
    };
    signature(1) + &signature(lines.len())
}
