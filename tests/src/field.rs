//! Devices of the field and the office that they belong to.

use std::fs;

use crate::cli::{self, Ended, Running};
use crate::office::{Office, role};
use crate::simulator::{SimOptions, Simulator};

/// An office with keys of every role and the root record `field.nfr`, for the life cycle `field`: two of the holders a, b and c,
/// release keys r and r2, the operate key o, hosts t (the technician) and u.
#[derive(Debug)]
pub struct FieldOffice {
    /// Its folder.
    pub office: Office,
}

impl Default for FieldOffice {
    fn default() -> Self {
        Self::new()
    }
}

impl FieldOffice {
    /// With all its keys made.
    pub fn new() -> Self {
        let keys = [
            ("root", "a"),
            ("root", "b"),
            ("root", "c"),
            ("release", "r"),
            ("release", "r2"),
            ("operate", "o"),
            ("host", "t"),
            ("host", "u"),
        ];
        let works = Self { office: Office::new(&keys) };
        works.root("field", "r", None);
        works
    }

    /// A root record of two in three holders, signed by two of them.
    pub fn root(&self, name: &str, release: &str, after: Option<&str>) {
        self.root_saying(name, release, ("o", ""), after);
    }

    /// As [`FieldOffice::root`], with another operate key, and with more in its policy and behind it.
    pub fn root_saying(
        &self,
        name: &str,
        release: &str,
        (operate, more): (&str, &str),
        after: Option<&str>,
    ) {
        let roles = [
            role("root", &["a", "b", "c"], 2),
            role("release", &[release], 1),
            role("operate", &[operate], 1),
        ];
        let spec = format!(
            "{}[policy]
life_cycle = \"field\"
{more}",
            roles.concat()
        );
        let _ = self.office.root(name, &spec, &["a.key", "c.key"], after);
    }

    /// Delegates to a host, for the example's product; gives what the command said.
    pub fn delegate(&self, host: &str, more: &[&str]) -> Ended {
        let (public, product) = (format!("{host}.pub"), self.product());
        let delegate = ["key", "delegate", &public, "--key", "o.key", "--root", "field.nfr"];
        self.office.say(&[&delegate[..], &["--product", &product], more].concat())
    }

    fn product(&self) -> String {
        let spec = fs::read_to_string(self.office.site.path("example/bundle.toml")).unwrap();
        let line = spec.lines().find(|line| line.starts_with("product")).unwrap().to_owned();
        line.split('"').nth(1).unwrap().to_owned()
    }

    /// A device in factory state that the technician enrols.
    pub fn enrolled(&self, options: &SimOptions) -> Simulator {
        self.enrolled_by(options, "t")
    }

    /// A device in factory state that a host enrols.
    pub fn enrolled_by(&self, options: &SimOptions, host: &str) -> Simulator {
        let device = Simulator::start(&self.office.site, options);
        let (address, key) = (device.address(), format!("{host}.key"));
        let enroll = ["device", "enroll", "-d", &address, "--root", "field.nfr", "--as", &key];
        let _ = self.office.say(&enroll).code(0).says("took root record 1").says("Its key is ");
        device
    }

    /// Deploys as a host, or on a plain link where none is named.
    pub fn deploy(&self, bundle: &str, address: &str, root: &str, host: &str) -> Ended {
        self.start_deploy(bundle, address, root, host).wait()
    }

    /// Starts to.
    pub fn start_deploy(&self, bundle: &str, address: &str, root: &str, host: &str) -> Running {
        let mut command = cli::noflake();
        command.args(["deploy", bundle, "-d", address, "--root", root]);
        if !host.is_empty() {
            command.args(["--as", &format!("{host}.key"), "--passphrase-fd", "0"]);
        }
        Running::spawn(self.office.site.folder(), command, "secret\n")
    }
}
