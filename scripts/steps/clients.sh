# shellcheck shell=bash
# Sourced by scripts/setup: chain clients that nobody here wrote, which tests talk to our node with.

CLIENTS="$NOESIS_CACHE/clients"
NODE_JS_VERSION=18

# The two of the Python world. Their codecs have one name, so that the second needs an environment of its own.
python_clients() {
    local wanted="$NOESIS_ROOT/tests/clients/python"
    install_python_client "$NOESIS_CACHE/python" "$wanted/substrate-interface.txt" substrateinterface
    if ! "$CLIENTS/python/bin/python" -m pip --version >/dev/null 2>&1; then
        rm -rf "$CLIENTS/python"
        python3 -m venv "$CLIENTS/python" >&2 ||
            fail "python3 could not make a virtual environment" "Look at its message above."
    fi
    install_python_client "$CLIENTS/python" "$wanted/async-substrate-interface.txt" async_substrate_interface
}

# install_python_client ENVIRONMENT REQUIREMENTS MODULE: the module, in that environment of Python.
install_python_client() {
    local python="$1/bin/python" installed="$1/installed.txt"
    if cmp -s "$2" "$installed" && "$python" -c "import $3" 2>/dev/null; then
        note "$3 is there"
        return
    fi
    note "fetching $3"
    NOESIS_PYTHON="$python" pip_install -r "$2" ||
        fail "could not install $3" "Look at pip's message above, then run scripts/setup test again."
    "$python" -c "import $3" || fail "$3 was installed but does not start" "See Python's message above."
    cp "$2" "$installed"
}

# Those of the JavaScript world, at the versions of the lock file, whose hashes npm checks.
javascript_clients() {
    node_js
    local wanted="$NOESIS_ROOT/tests/clients/javascript" folder
    if cmp -s "$wanted/package-lock.json" "$CLIENTS/package-lock.json" && [ -d "$CLIENTS/node_modules" ]; then
        note "there"
        return
    fi
    folder="$(fresh_folder javascript)"
    cp "$wanted/package.json" "$wanted/package-lock.json" "$folder"
    note "fetching 244 packages (350 MB)"
    # What packages would run when they are installed is not needed here, and not run.
    (cd "$folder" && retry npm ci --ignore-scripts --omit=optional --no-audit --no-fund --loglevel error \
        --cache "$folder/npm-cache") >&2 ||
        fail "could not install the clients of JavaScript" \
            "Look at npm's message above, then run scripts/setup full again."
    mkdir -p "$CLIENTS"
    rm -rf "$CLIENTS/node_modules" "$CLIENTS/package-lock.json"
    mv "$folder/node_modules" "$CLIENTS/node_modules"
    # Last: it says that the others are whole.
    mv "$folder/package-lock.json" "$CLIENTS/package-lock.json"
    rm -rf "$folder"
}

# Node.js with npm, from the system's packages where they are missing.
node_js() {
    local packages=() version
    command -v node >/dev/null || packages+=(nodejs)
    command -v npm >/dev/null || packages+=(npm)
    if [ "${#packages[@]}" != 0 ]; then
        local help=("Install Node.js $NODE_JS_VERSION or newer with npm, then run scripts/setup full again."
            "All tests but those of clients in JavaScript run without: scripts/test")
        command -v apt-get >/dev/null || fail "there is no Node.js with npm" "${help[@]}"
        note "installing ${packages[*]}"
        apt_install "${packages[@]}" >&2 || { apt_update >&2 && apt_install "${packages[@]}" >&2; } ||
            fail "could not install ${packages[*]}" "${help[@]}"
    fi
    version="$(node --version)" || fail "node does not start" "See its message above."
    version="${version#v}"
    [ "${version%%.*}" -ge "$NODE_JS_VERSION" ] ||
        fail "Node.js is $version, and $NODE_JS_VERSION or newer is needed" \
            "Install a newer one, then run scripts/setup full again."
    note "Node.js $version"
}
