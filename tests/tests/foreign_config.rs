//! A noflake.toml that somebody else can have written: it names the root record that vouches and the program that signs, so
//! one that is merely found does not count.
#![expect(clippy::unwrap_used, reason = "clippy.toml excuses test functions, not their helpers")]

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;

use integration::cli::{Ended, Running, noflake, run};
use integration::site::{RELEASE_KEY, Release, Site};
use noflake::trust::{KeyRole, PublicKeyFile, Signer as _};

/// No user of the tests.
const STRANGER: u32 = 65_534;

/// A bundle, and a folder below one whose configuration has a program of its own sign the evidence: `shared/mine`.
fn laid_out() -> (Site, String) {
    let site = Site::new();
    let bundle = site.path(&site.bundle(&Release::new("1.1.0"))).display().to_string();
    fs::create_dir_all(site.path("shared/mine")).unwrap();
    let root = site.root().display().to_string();
    let config = format!("[trust]\nroot = {root:?}\nbench_key = \"evil.signer\"\n");
    site.write("shared/noflake.toml", &config);
    site.write("shared/evil.signer", "schema = \"signer/1\"\nprogram = [\"./evil.sh\"]\n");
    site.write("shared/evil.sh", "#!/bin/sh\ntouch ran\n");
    let public = PublicKeyFile { role: KeyRole::Bench, public_key: RELEASE_KEY.public_key() };
    site.write("shared/evil.pub", &public.to_text());
    mode(&site.path("shared/evil.sh"), 0o755);
    for name in ["shared/noflake.toml", "shared/evil.signer"] {
        mode(&site.path(name), 0o644);
    }
    for name in ["shared", "shared/mine"] {
        mode(&site.path(name), 0o755);
    }
    (site, bundle)
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn deploy(site: &Site, bundle: &str, more: &[&str]) -> Ended {
    let deploy = ["deploy", bundle, "-d", "sim:"];
    run(&site.path("shared/mine"), "", &[&deploy[..], more].concat())
}

#[track_caller]
fn refused(site: &Site, bundle: &str, says: &str) {
    let ended = deploy(site, bundle, &[]).code(2).says("is not used unless it is named").says(says);
    ended.says("--config").is_one_clear_error();
    assert!(!site.path("shared/ran").exists(), "its program ran");
}

#[test]
fn a_configuration_that_others_can_write_is_not_used_unless_it_is_named() {
    let (site, bundle) = laid_out();
    let (file, folder) = (site.path("shared/noflake.toml"), site.path("shared"));
    mode(&file, 0o646);
    refused(&site, &bundle, "can be changed by others, its mode is 0646");
    mode(&file, 0o644);
    mode(&folder, 0o777);
    refused(&site, &bundle, "can be changed by others, its mode is 0777");
    // In a folder like /tmp the owner of the file decides.
    mode(&folder, 0o1777);
    let _ = deploy(&site, &bundle, &[]).says_not("is not used unless it is named");
    mode(&folder, 0o777);
    fs::write(
        site.path("shared/own.toml"),
        format!("[trust]\nroot = \"{}\"\n", site.root().display()),
    )
    .unwrap();
    let _ = deploy(&site, &bundle, &["--config", "../own.toml"]).code(0);
}

/// Only root can give files away; elsewhere there is nothing to try.
#[test]
fn a_configuration_of_somebody_else_is_not_used_unless_it_is_named() {
    let (site, bundle) = laid_out();
    let file = site.path("shared/noflake.toml");
    if chown(&file, Some(STRANGER), Some(STRANGER)).is_err() {
        return;
    }
    mode(&site.path("shared"), 0o1777);
    let belongs = "belongs to user 65534, expected you or root";
    refused(&site, &bundle, belongs);
    // Whoever became root by sudo has files of their own.
    let mut by_sudo = noflake();
    by_sudo.args(["deploy", &bundle, "-d", "sim:"]).env("SUDO_UID", STRANGER.to_string());
    let ended = Running::spawn(&site.path("shared/mine"), by_sudo, "").wait();
    let _ = ended.says_not("is not used unless it is named");
    fs::remove_file(site.path("shared/ran")).unwrap();
    // A link of theirs to a file of mine: its paths are relative to their folder.
    chown(&file, Some(0), Some(0)).unwrap();
    fs::rename(&file, site.path("mine.toml")).unwrap();
    symlink(site.path("mine.toml"), &file).unwrap();
    std::os::unix::fs::lchown(&file, Some(STRANGER), Some(STRANGER)).unwrap();
    refused(&site, &bundle, belongs);
    // A folder of theirs.
    fs::remove_file(&file).unwrap();
    fs::rename(site.path("mine.toml"), &file).unwrap();
    mode(&site.path("shared"), 0o755);
    chown(site.path("shared"), Some(STRANGER), Some(STRANGER)).unwrap();
    refused(&site, &bundle, belongs);
    // Named, it counts; what it lets run has an owner all the same.
    let named = ["--config", "../noflake.toml"];
    for theirs in ["shared/evil.signer", "shared/evil.sh"] {
        chown(site.path(theirs), Some(STRANGER), Some(STRANGER)).unwrap();
        let ended = deploy(&site, &bundle, &named).code(2);
        ended.says("can be changed by its owner, user 65534").is_one_clear_error();
        chown(site.path(theirs), Some(0), Some(0)).unwrap();
        assert!(!site.path("shared/ran").exists(), "its program ran");
    }
}
