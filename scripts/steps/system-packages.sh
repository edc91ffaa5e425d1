# shellcheck shell=bash
# Sourced by scripts/setup: what the build needs of the system. Each need is looked for itself, not
# its package, so that a machine that has it from elsewhere needs neither apt nor root.

# as_root COMMAND...: runs it as root, through sudo where that is possible without a question.
as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null && { [ -t 0 ] || sudo -n true 2>/dev/null; }; then
        sudo "$@"
    else
        return 126
    fi
}

apt_install() {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 \
        install -y -q --no-install-recommends "$@"
}

apt_update() { as_root apt-get -o DPkg::Lock::Timeout=300 update -q; }

# apt_knows PACKAGE: whether apt's lists hold a version of it.
apt_knows() { apt-cache show "$1" >/dev/null 2>&1; }

have_libclang() {
    [ -n "${LIBCLANG_PATH:-}" ] || compgen -G '/usr/lib*/llvm*/lib/libclang*.so*' >/dev/null ||
        compgen -G '/usr/lib*/libclang.so*' >/dev/null ||
        compgen -G '/usr/lib/*/libclang*.so*' >/dev/null
}

# missing_packages: one line for each need that is not met, the Debian package that meets it.
missing_packages() {
    command -v protoc >/dev/null || echo protobuf-compiler
    [ -f /usr/include/google/protobuf/descriptor.proto ] || [ -n "${PROTOC_INCLUDE:-}" ] ||
        echo libprotobuf-dev
    command -v cc >/dev/null || echo gcc
    command -v c++ >/dev/null || echo g++
    [ -f /usr/include/stdio.h ] || echo libc6-dev
    command -v clang >/dev/null || echo clang
    have_libclang || echo libclang-dev
    command -v cmake >/dev/null || echo cmake
    command -v make >/dev/null || echo make
    # A minimal system has a perl without the modules that OpenSSL's build asks for.
    perl -MFindBin -MIPC::Cmd -MFile::Compare -e 1 2>/dev/null || echo perl
    command -v pkg-config >/dev/null || echo pkg-config
    command -v unzip >/dev/null || echo unzip
    command -v python3 >/dev/null || echo python3
    python3 -c 'import venv, ensurepip' 2>/dev/null || echo python3-venv
    [ -f /etc/ssl/certs/ca-certificates.crt ] || [ -d /etc/pki ] || echo ca-certificates
}

system_packages() {
    local packages
    mapfile -t packages < <(missing_packages)
    if [ "${#packages[@]}" = 0 ]; then
        note "all there"
        return
    fi
    command -v apt-get >/dev/null ||
        fail "these are missing (by their Debian names): ${packages[*]}" \
            "Install them with this system's own package manager, then run scripts/setup again."
    note "installing ${packages[*]}"
    # A list that is older than the archive names versions that are gone: then fetch it and try again.
    apt_install "${packages[@]}" >&2 || { apt_update >&2 && apt_install "${packages[@]}" >&2; } ||
        fail "could not install system packages" \
            "As root, run this, then scripts/setup again:" \
            "apt-get update && apt-get install --no-install-recommends ${packages[*]}"
    mapfile -t packages < <(missing_packages)
    [ "${#packages[@]}" = 0 ] ||
        fail "still missing after their installation: ${packages[*]}" \
            "See why these packages do not provide what they should, then run scripts/setup again."
}
