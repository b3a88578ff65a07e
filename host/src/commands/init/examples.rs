//! The files that `noflake init` writes beside the trust folder; `bundle create` works on them as
//! they are.

/// Name and contents of each.
pub(super) const FILES: [(&str, &[u8]); 6] = [
    ("noflake.toml", include_bytes!("examples/noflake.toml")),
    ("bundle.toml", include_bytes!("examples/bundle.toml")),
    ("deploy.toml", include_bytes!("examples/deploy.toml")),
    ("app-a.bin", b"example application, linked for slot A\n"),
    ("app-b.bin", b"example application, linked for slot B\n"),
    ("config.toml", b"# Example device configuration: changes together with the application.\n"),
];
