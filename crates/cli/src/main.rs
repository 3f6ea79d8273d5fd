//! The program `robin`; everything is in the library beside it.

use std::process::ExitCode;

fn main() -> ExitCode {
    robin_cli::robin::main()
}
