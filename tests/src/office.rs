//! A folder in which people work with keys by files alone: `noflake init`, keys of several roles, the example bundle.

use std::fs;

use crate::cli::{Ended, Running, noflake, run};
use crate::site::Site;

/// The keys of a role in the words of a root record.
pub fn role(name: &str, keys: &[&str], threshold: u8) -> String {
    let keys: Vec<String> = keys.iter().map(|key| format!("{key}.pub")).collect();
    format!("[{name}]\nkeys = {keys:?}\nthreshold = {threshold}\n")
}

/// The folder; every key in it has the same passphrase.
#[derive(Debug)]
pub struct Office {
    /// Where it is.
    pub site: Site,
}

impl Office {
    /// With a key for each role and name.
    pub fn new(keys: &[(&str, &str)]) -> Self {
        let office = Self { site: Site::new() };
        let _ = office.say(&["init", "example"]).code(0);
        for (role, name) in keys {
            let _ = office.say(&["key", "generate", "--role", role, name]).code(0);
        }
        office
    }

    /// Runs a command that asks for a passphrase.
    pub fn say(&self, arguments: &[&str]) -> Ended {
        self.start(arguments).wait()
    }

    /// Starts a command that asks for a passphrase.
    pub fn start(&self, arguments: &[&str]) -> Running {
        let mut command = noflake();
        command.args(arguments).args(["--passphrase-fd", "0"]);
        Running::spawn(self.site.folder(), command, "secret\n")
    }

    /// Runs a command that does not.
    pub fn noflake(&self, arguments: &[&str]) -> Ended {
        run(self.site.folder(), "", arguments)
    }

    /// Writes down and signs the root record `name.nfr`, by its words, behind another one if that is named; gives what the last
    /// of the signers was told.
    pub fn root(&self, name: &str, spec: &str, by: &[&str], after: Option<&str>) -> Ended {
        let (words, record) = (format!("{name}.toml"), format!("{name}.nfr"));
        self.site.write(&words, spec);
        let after = after.map_or(vec![], |after| vec!["--after", after]);
        let draft = ["root", "draft", &words, "-o", &record];
        let mut told = self.noflake(&[&draft[..], &after].concat()).code(0);
        for key in by {
            let sign = ["root", "sign", &record, "--key", key];
            told = self.say(&[&sign[..], &after].concat()).code(0);
        }
        told
    }

    /// The example under a version of its own, signed by a release key; gives its file.
    pub fn bundle(&self, version: &str, key: &str) -> String {
        let path = self.site.path("example").join("bundle.toml");
        let spec = fs::read_to_string(&path).unwrap();
        let line = spec.lines().find(|line| line.starts_with("version")).unwrap().to_owned();
        fs::write(&path, spec.replace(&line, &format!("version = \"{version}\""))).unwrap();
        let (output, key) = (format!("{version}-{key}.nfb"), format!("{key}.key"));
        let create = ["bundle", "create", path.to_str().unwrap(), "-o", &output, "--key", &key];
        let _ = self.say(&create).code(0);
        output
    }
}
