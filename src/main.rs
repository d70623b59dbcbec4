//! The `madang` program; what it does is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    madang::cli::main()
}
