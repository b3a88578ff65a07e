//! Files that never end: wherever a person names a file, a pipe or an endless device is one clear error
//! with exit 2, and a file that is too long says how long it may be.

use std::fs::{File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use integration::site::{Release, Site};

/// Every place where a file is named, with `PATH` where it goes.
fn places(bundle: &str) -> Vec<(&'static str, Vec<String>)> {
    let words = |text: &str| text.split(' ').map(|word| word.replace("BUNDLE", bundle)).collect();
    vec![
        ("plan", words("qualify BUNDLE -d sim: --plan PATH")),
        ("configuration", words("deploy BUNDLE -d sim: --config PATH")),
        ("root record", words("deploy BUNDLE -d sim: --root PATH")),
        ("root record", words("device enroll -d sim: --root PATH")),
        ("spec", words("bundle create PATH --key PATH -o out.nfb --passphrase-fd 0")),
        ("key", words("key show PATH --passphrase-fd 0")),
        ("key", words("bundle create spec.toml --key PATH -o out.nfb --passphrase-fd 0")),
        ("component", words("bundle create endless.toml --key PATH -o out.nfb --passphrase-fd 0")),
        ("boot record", words("device status --explain --record PATH")),
        ("scenario", words("device identify -d sim:PATH")),
        ("scenario", words("sim --tcp 127.0.0.1:0 --scenario PATH")),
        ("root record", words("sim --tcp 127.0.0.1:0 --root PATH")),
    ]
}

fn spec(image: &str) -> String {
    format!(
        "product = \"rover-nav\"\nversion = \"1.1.0\"\n\
         [[hardware]]\nid = \"nav-1\"\nfirst_revision = 1\nlast_revision = 9\n\
         [[component]]\nname = \"app\"\nkind = \"image\"\n\
         [[component.variant]]\nslot = \"any\"\nfile = \"{image}\"\n"
    )
}

#[test]
fn a_pipe_a_device_or_an_overlong_file_is_one_clear_error_and_never_a_hang() {
    let site = Site::new();
    let bundle = site.bundle(&Release::new("1.1.0"));
    let fifo = site.path("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let long = site.path("long");
    let file = File::create(&long).unwrap();
    file.set_len(1 << 33).unwrap();
    // A key that others can read is refused for that alone.
    file.set_permissions(Permissions::from_mode(0o600)).unwrap();
    site.write("app.bin", "image");
    site.write("spec.toml", &spec("app.bin"));
    for (path, problem) in [
        (fifo.to_str().unwrap(), "regular file"),
        ("/dev/zero", "regular file"),
        (long.to_str().unwrap(), "8589934592 bytes"),
    ] {
        site.write("endless.toml", &spec(path));
        for (what, arguments) in places(&bundle) {
            let arguments: Vec<String> =
                arguments.iter().map(|word| word.replace("PATH", path)).collect();
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            let ended = integration::cli::run(site.folder(), "tide pool\n", &arguments);
            assert_eq!(ended.code, Some(2), "{what} {path}: {arguments:?}: {ended:?}");
            let ended = ended.says(path).says(problem).says_not("panicked");
            assert_eq!(ended.stderr.matches("error: ").count(), 1, "{ended:?}");
        }
    }
}

/// A file may come from anybody: what an error quotes of it must not retitle, clear or turn a terminal.
#[test]
fn nothing_that_an_error_quotes_of_a_file_steers_the_terminal() {
    let site = Site::new();
    let bundle = site.bundle(&Release::new("1.1.0"));
    let steering = "\u{1b}]0;owned\u{7}\u{9b}2J\u{202e}";
    // Once as the file has it, in an excerpt, and once as the parser reads it, in a name.
    site.write("excerpt.toml", &format!("a = \"{steering}\"\n"));
    site.write("name.toml", "\"\\u001b]0;owned\\u0007\\u009b2J\\u202e\" = 1\n");
    let devices = "devices = [\"usb:\\u001b]0;owned\\u0007\\u009b2J\\u202e\"]\n";
    site.write("address.toml", devices);
    for file in ["excerpt.toml", "name.toml", "address.toml"] {
        let public = site.path("hostile.pub");
        std::fs::copy(site.path(file), &public).unwrap();
        for arguments in [
            &["qualify", &bundle, "-d", "sim:", "--plan", file][..],
            &["deploy", &bundle, "--config", file],
            &["bundle", "create", file, "-o", "out.nfb", "--passphrase-fd", "0"],
            &["key", "show", "hostile.pub"],
            &["device", "identify", "-d", &format!("sim:{file}")],
            &["sim", "--tcp", "127.0.0.1:0", "--scenario", file],
            &["deploy", steering],
            &["deploy", &bundle, steering],
        ] {
            for format in ["human", "json"] {
                let arguments = [&["--format", format], arguments].concat();
                let ended = integration::cli::run(site.folder(), "tide pool\n", &arguments);
                assert!(matches!(ended.code, Some(2 | 3)), "{arguments:?}: {ended:?}");
                let said = format!("{}{}", ended.stdout, ended.stderr);
                let steers = |character: char| character.is_control() || character == '\u{202e}';
                let found = said.replace('\n', "").contains(steers);
                assert!(!found, "{arguments:?}: {said:?}");
            }
        }
    }
    let ended = site.noflake(&["deploy", &bundle, "-d", "sim:name.toml"]);
    let _ = ended.code(2).says("unknown field").says("mend the scenario").says_not("\\n");
    let ended = site.noflake(&["deploy", &bundle, "--config", "name.toml"]).code(2);
    assert!(ended.says("\\u{1b}]0;owned\\u{7}\\u{9b}2J\\u{202e}").stderr.contains("\n1 | "));
}
