//! The attacks, each on the product as it is: one test a row of the table. That each succeeds once its defence is
//! left out shows `cargo run --release -p integration --bin attacks` (TESTING.md, "Attacks").

use integration::attacks::{
    ROWS, row_01_arbitrary_install, row_02_counted_twice, row_03_rollback,
    row_04_interrupted_rollback, row_05_never_confirmed, row_06_freeze, row_07_stale,
    row_08_mix_and_match, row_09_wrong_hardware, row_10_endless_data, row_11_slow_retrieval,
    row_12_fast_forward, row_13_operate_stolen, row_14_release_stolen, row_15_root_rotation,
    row_16_replay, row_17_hijack, row_18_nonce_desync, row_19_rogue_device, row_20_tampered_report,
    row_21_malicious_bundle, row_22_bomb, row_23_malicious_device, row_24_check_then_use,
    row_25_glitch, row_26_readback, row_27_log_denial,
};

#[test]
fn row_01_arbitrary_install_is_refused() {
    row_01_arbitrary_install::ROW.assert_refused();
}

#[test]
fn row_02_counted_twice_is_refused() {
    row_02_counted_twice::ROW.assert_refused();
}

#[test]
fn row_03_rollback_is_refused() {
    row_03_rollback::ROW.assert_refused();
}

#[test]
fn row_04_interrupted_rollback_is_refused() {
    row_04_interrupted_rollback::ROW.assert_refused();
}

#[test]
fn row_05_never_confirmed_is_refused() {
    row_05_never_confirmed::ROW.assert_refused();
}

#[test]
fn row_06_freeze_is_refused() {
    row_06_freeze::ROW.assert_refused();
}

#[test]
fn row_07_stale_is_refused() {
    row_07_stale::ROW.assert_refused();
}

#[test]
fn row_08_mix_and_match_is_refused() {
    row_08_mix_and_match::ROW.assert_refused();
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
fn row_12_fast_forward_is_refused() {
    row_12_fast_forward::ROW.assert_refused();
}

#[test]
fn row_13_operate_stolen_is_refused() {
    row_13_operate_stolen::ROW.assert_refused();
}

#[test]
fn row_14_release_stolen_is_refused() {
    row_14_release_stolen::ROW.assert_refused();
}

#[test]
fn row_15_root_rotation_is_refused() {
    row_15_root_rotation::ROW.assert_refused();
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
fn row_20_tampered_report_is_refused() {
    row_20_tampered_report::ROW.assert_refused();
}

#[test]
fn row_21_malicious_bundle_is_refused() {
    row_21_malicious_bundle::ROW.assert_refused();
}

#[test]
fn row_22_bomb_is_refused() {
    row_22_bomb::ROW.assert_refused();
}

#[test]
fn row_23_malicious_device_is_refused() {
    row_23_malicious_device::ROW.assert_refused();
}

#[test]
fn row_24_check_then_use_is_refused() {
    row_24_check_then_use::ROW.assert_refused();
}

/// No decision can be turned over in the product as it is: `--bin attacks` turns each one.
#[test]
fn row_25_glitch_is_refused() {
    row_25_glitch::ROW.assert_refused();
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
