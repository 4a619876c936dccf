//! Tables as files, and lists of rows.
#![no_main]

use std::panic;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    // The Parquet library panics on some damaged pages, which the reader catches; libFuzzer would end at the first of them. What is not caught still ends it.
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    trefoil_nodes::fuzzing::run("table", bytes);
    panic::set_hook(hook);
});
