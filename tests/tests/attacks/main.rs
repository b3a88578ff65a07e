//! The attacks, each on the product as it is: one test a row of the table. That each succeeds once its defence is
//! left out shows `cargo run --release -p integration --bin attacks` (TESTING.md, "Attacks").

use integration::attacks::{
    ROWS, row_01_arbitrary_install, row_03_rollback, row_09_wrong_hardware, row_20_tampered_report,
    row_25_glitch,
};

#[test]
fn row_01_arbitrary_install_is_refused() {
    row_01_arbitrary_install::ROW.assert_refused();
}

#[test]
fn row_03_rollback_is_refused() {
    row_03_rollback::ROW.assert_refused();
}

#[test]
fn row_09_wrong_hardware_is_refused() {
    row_09_wrong_hardware::ROW.assert_refused();
}

#[test]
fn row_20_tampered_report_is_refused() {
    row_20_tampered_report::ROW.assert_refused();
}

/// No decision can be turned over in the product as it is: `--bin attacks` turns each one.
#[test]
fn row_25_glitch_is_refused() {
    row_25_glitch::ROW.assert_refused();
}

#[test]
fn every_row_has_a_test_here_and_a_number_of_its_own() {
    let tests = include_str!("main.rs").matches("\nfn row_").count();
    assert_eq!(tests, ROWS.len());
    assert!(ROWS.is_sorted_by(|one, next| one.number < next.number));
    let told = |row: &&&integration::attacks::Row| {
        include_str!("main.rs").contains(&format!("\nfn row_{:02}_", row.number))
    };
    assert_eq!(ROWS.iter().filter(told).count(), ROWS.len());
}
