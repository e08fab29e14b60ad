//! One check of `flume_tests::fuzz`, chosen by the environment variable `FLUME_FUZZ_CHECK`.

#![no_main]

use std::sync::LazyLock;

use flume_tests::fuzz::{CHECKS, Check};
use libfuzzer_sys::fuzz_target;

static CHECK: LazyLock<Check> = LazyLock::new(|| {
    let wanted = std::env::var("FLUME_FUZZ_CHECK").unwrap_or_default();
    let found = CHECKS.into_iter().find(|(name, _)| *name == wanted);
    found.unwrap_or_else(|| panic!("FLUME_FUZZ_CHECK must be one of {:?}", CHECKS.map(|c| c.0)))
});

fuzz_target!(|bytes: &[u8]| CHECK.1(bytes));
