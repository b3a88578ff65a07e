//! The attacks, each on the product as it is: one test a row of the table. That each succeeds once its defence is
//! left out shows `cargo run --release -p integration --bin attacks` (TESTING.md, "Attacks").

use integration::attacks::{
    ROWS, row_01_arbitrary_install, row_03_rollback, row_09_wrong_hardware, row_10_endless_data,
    row_11_slow_retrieval, row_16_replay, row_17_hijack, row_18_nonce_desync, row_19_rogue_device,
    row_26_readback, row_27_log_denial,
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
fn row_10_endless_data_is_refused() {
    row_10_endless_data::ROW.assert_refused();
}

#[test]
fn row_11_slow_retrieval_is_refused() {
    row_11_slow_retrieval::ROW.assert_refused();
}

#[test]
fn row_16_replay_is_refused() {
    row_16_replay::ROW.assert_refused();
}

#[test]
fn row_17_hijack_is_refused() {
    row_17_hijack::ROW.assert_refused();
}

#[test]
fn row_18_nonce_desync_is_refused() {
    row_18_nonce_desync::ROW.assert_refused();
}

#[test]
fn row_19_rogue_device_is_refused() {
    row_19_rogue_device::ROW.assert_refused();
}

#[test]
fn row_26_readback_is_refused() {
    row_26_readback::ROW.assert_refused();
}

#[test]
fn row_27_log_denial_is_refused() {
    row_27_log_denial::ROW.assert_refused();
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
