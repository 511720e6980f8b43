//! What people type; everything else is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    mtx_sidecar::cli::run()
}
