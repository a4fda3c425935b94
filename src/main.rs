//! The `clmsfs` program.

fn main() -> std::process::ExitCode {
    clmsfs::cli::main()
}
