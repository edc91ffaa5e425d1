//! Build script of the programs that use libtorch: lets them find the one they were built with,
//! without `LD_LIBRARY_PATH`.

fn main() {
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    if let Ok(folder) = std::env::var("LIBTORCH") {
        // The old tags also serve the libraries that libtorch itself needs.
        println!("cargo:rustc-link-arg=-Wl,--disable-new-dtags,-rpath,{folder}/lib");
    }
}
