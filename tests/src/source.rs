//! Files below a folder.

use std::fs;
use std::path::{Path, PathBuf};

/// Every file below `folder` whose name ends in `ending`, sorted.
pub fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    collect(folder, ending, &mut found);
    found.sort();
    found
}

fn collect(folder: &Path, ending: &str, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.is_symlink() {
            collect(&path, ending, found);
        } else if path.to_string_lossy().ends_with(ending) {
            found.push(path);
        }
    }
}

/// Every regular file below `folder` with its bytes: what "left as it was" is held against.
pub fn contents(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let regular = files(folder, "").into_iter().filter(|path| path.is_file());
    regular.map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}
