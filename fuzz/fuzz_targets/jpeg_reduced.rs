#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mtx_sidecar::fuzzing::check("jpeg_reduced", data));
