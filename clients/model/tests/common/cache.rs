//! Where the data lie, for tests of every crate that learns.

use std::path::PathBuf;

/// What scripts/setup put into the cache: `king-james.txt` or `fashion-mnist`.
pub fn data(name: &str) -> PathBuf {
    let cache = std::env::var_os("NOESIS_CACHE").map(PathBuf::from);
    let cache = cache.unwrap_or_else(|| {
        let home = std::env::var_os("HOME").expect("HOME or NOESIS_CACHE is set");
        PathBuf::from(home).join(".cache/noesis")
    });
    cache.join("data").join(name)
}
