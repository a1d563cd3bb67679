//! The `frazil-maintenance` binary: arguments → settings → a procedure → exit code.

mod cli;

/// Decoding and encoding allocate buffers of a few sizes over and over, from several threads.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    cli::run()
}
