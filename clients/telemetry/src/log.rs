//! The log of a program: lines on standard error.

use crate::terminal::AboveLines;
use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;

/// Begins the log, of what `RUST_LOG` asks for or else of all from `info` on.
///
/// # Panics
///
/// When a log has begun already: a program has one.
pub fn begin() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| AboveLines)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .init();
}
