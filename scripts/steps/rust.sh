# shellcheck shell=bash
# Sourced by scripts/setup: Rust, and a compiler that can build the runtime's Wasm.

WASM_TARGET=wasm32v1-none

rust() {
    local wanted have
    wanted="$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$NOESIS_ROOT/Cargo.toml")"
    command -v rustc >/dev/null ||
        fail "there is no Rust" "Install rustup (https://rustup.rs), then run scripts/setup again."
    have="$(cd "$NOESIS_ROOT" && rustc --version | cut -d' ' -f2)"
    if [ "$(printf '%s\n' "$wanted" "$have" | sort -V | head -n1)" != "$wanted" ]; then
        fail "rustc is $have, and $wanted or newer is needed" \
            "Run rustup update stable, then scripts/setup again."
    fi
    note "rustc $have"
}

# has_target SYSROOT: whether the compiler with that sysroot has core for the target.
has_target() { compgen -G "$1/lib/rustlib/$WASM_TARGET/lib/libcore-*.rlib" >/dev/null; }

# NOESIS_WASM=debian takes the second way at once.
wasm_target() {
    local toolchain="$NOESIS_CACHE/wasm-toolchain"
    if [ "${NOESIS_WASM:-}" != debian ] && has_target "$(cd "$NOESIS_ROOT" && rustc --print sysroot)"; then
        rm -f "$toolchain"
        note "$WASM_TARGET is there"
        return
    fi
    if [ -f "$toolchain" ] && has_target "$(cat "$toolchain")"; then
        note "$WASM_TARGET is there, in Debian's toolchain ($(cat "$toolchain"))"
        return
    fi
    if [ "${NOESIS_WASM:-}" != debian ] && command -v rustup >/dev/null; then
        note "adding it through rustup"
        if (cd "$NOESIS_ROOT" && timeout 180 rustup target add "$WASM_TARGET") >&2; then
            return
        fi
        note "rustup could not add it; taking Debian's toolchain for Wasm instead (150 MB)"
    fi
    debian_toolchain
}

# debian_toolchain: unpacks Debian's rustc into the cache, without root and beside the one that builds
# everything else, and builds core and alloc for the target with it.
debian_toolchain() {
    local help=("Let rustup reach its servers and run: rustup target add $WASM_TARGET"
        "Then run scripts/setup again.")
    command -v rustup >/dev/null || fail "no rustup to run a second toolchain with" "${help[@]}"
    command -v apt-get >/dev/null || fail "this is no Debian, so its toolchain is not to be had" "${help[@]}"
    apt_knows rustc-web || apt_update >&2 || true
    apt_knows rustc-web || fail "apt knows no package rustc-web" "${help[@]}" \
        "On Debian 12, as root, apt-get update may be all that is missing."

    local folder root host
    folder="$(fresh_folder wasm-toolchain)"
    root="$folder/usr"
    mkdir "$folder/packages"
    note "fetching packages"
    (cd "$folder/packages" && debian_toolchain_packages |
        retry xargs apt-get -q -o APT::Sandbox::User=root download) >&2 ||
        fail "could not fetch Debian's Rust packages" "Look at apt's message above; as root, apt-get update may help." \
            "Then run scripts/setup again."
    local package
    for package in "$folder"/packages/*.deb; do
        # Of Rust's source, the library alone: the compiler's has a hundred thousand files.
        case "$package" in
            */rust-web-src_*)
                dpkg --fsys-tarfile "$package" |
                    tar -x -C "$folder" --wildcards './usr/src/rustc-*/library' './usr/lib/rustlib/src'
                ;;
            *) dpkg -x "$package" "$folder" ;;
        esac
    done
    rm -rf "$folder/packages"

    # rustup puts the toolchain's lib folder on the library path, and rustc looks for its linker in
    # the folder of its host: link what Debian keeps elsewhere to where they look.
    local library
    for library in "$root"/lib/x86_64-linux-gnu/*.so*; do
        ln -sfn "x86_64-linux-gnu/$(basename "$library")" "$root/lib/$(basename "$library")"
    done
    host="$(rustup run "$root" rustc --version --verbose | sed -n 's/^host: //p')"
    [ -n "$host" ] || fail "Debian's rustc does not start from $root" "${help[@]}"
    mkdir -p "$root/lib/rustlib/$host/bin"
    ln -sfn "$(cd "$root/bin" && compgen -G '../lib/llvm-*/bin/lld' | head -n1 | sed 's|^\.\./|../../../../|')" \
        "$root/lib/rustlib/$host/bin/rust-lld"

    note "building core and alloc for $WASM_TARGET with $(rustup run "$root" rustc --version)"
    empty_crate "$folder/crate"
    # Without bitcode in them the runtime's link-time optimisation fails.
    RUSTC_BOOTSTRAP=1 RUSTFLAGS="-Cembed-bitcode=yes" CARGO_TARGET_DIR="$folder/target" \
        rustup run "$root" cargo build --release --target "$WASM_TARGET" -Z build-std=core,alloc \
        --manifest-path "$folder/crate/Cargo.toml" >&2 || fail "could not build core and alloc" "${help[@]}"
    mkdir -p "$root/lib/rustlib/$WASM_TARGET/lib"
    cp "$folder/target/$WASM_TARGET/release/deps"/lib{core,alloc,compiler_builtins}-*.rlib \
        "$root/lib/rustlib/$WASM_TARGET/lib/"
    rm -rf "$folder/target"
    CARGO_TARGET_DIR="$folder/target" rustup run "$root" cargo build --release --target "$WASM_TARGET" \
        --manifest-path "$folder/crate/Cargo.toml" >&2 ||
        fail "the toolchain does not build a crate for $WASM_TARGET" "${help[@]}"

    rm -rf "$NOESIS_CACHE/wasm-debian" "$root/src"
    mv "$root" "$NOESIS_CACHE/wasm-debian"
    rm -rf "$folder"
    printf '%s\n' "$NOESIS_CACHE/wasm-debian" >"$toolchain"
    # What an earlier compiler built of the runtime does not mix with this one.
    rm -rf "$CARGO_TARGET_DIR"/*/wbuild
}

# debian_toolchain_packages: their names, with those of their libraries that not every system has.
debian_toolchain_packages() {
    local names="rustc-web cargo-web"
    for _ in 1 2 3 4; do # levels of dependencies
        # shellcheck disable=SC2086 # a list of names
        names="$({
            printf '%s\n' $names
            apt-cache depends $names | sed -n 's/^ *|\{0,1\}Depends: //p' |
                grep -E '^(libstd-rust-web.*|libllvm[0-9]+|libgit2-.*|libhttp-parser.*|libmbed.*)$'
        } | sort -u)"
    done
    # With the source of core and alloc, and the linker of the same LLVM.
    printf '%s\n' "$names" rust-web-src
    printf '%s\n' "$names" | sed -n 's/^libllvm\([0-9]*\)$/lld-\1/p'
}

# empty_crate FOLDER: the least that makes cargo build core and alloc, and link a program for Wasm.
empty_crate() {
    mkdir -p "$1/src"
    cat >"$1/Cargo.toml" <<'TOML'
[package]
name = "empty"
version = "0.0.0"
edition = "2021"
[lib]
crate-type = ["cdylib"]
[workspace]
TOML
    cat >"$1/src/lib.rs" <<'RUST'
#![no_std]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    loop {}
}
RUST
}
