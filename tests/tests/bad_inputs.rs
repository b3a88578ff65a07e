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
            let code =
                if arguments.last().is_some_and(|word| word.starts_with("sim:")) { 3 } else { 2 };
            assert_eq!(ended.code, Some(code), "{what} {path}: {arguments:?}: {ended:?}");
            let ended = ended.says(path).says(problem).says_not("panicked");
            assert_eq!(ended.stderr.matches("error: ").count(), 1, "{ended:?}");
        }
    }
}
