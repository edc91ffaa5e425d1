# shellcheck shell=bash
# Sourced by scripts/setup: libtorch for the processor, from the same wheels that Python users install,
# without the 3 GB of CUDA that those would bring along.

LIBTORCH_VERSION=2.11.0
LIBTORCH_HELP=("Or set LIBTORCH to the folder of a libtorch $LIBTORCH_VERSION, or LIBTORCH_USE_PYTORCH=1 where"
    "python3 has torch $LIBTORCH_VERSION, and run scripts/setup again.")

libtorch() {
    if [ -n "${LIBTORCH_USE_PYTORCH:-}" ]; then
        local version
        version="$(python3 -c 'import torch; print(torch.__version__)' 2>/dev/null)" ||
            fail "LIBTORCH_USE_PYTORCH is set, but python3 cannot import torch" \
                "Install torch $LIBTORCH_VERSION there, or unset LIBTORCH_USE_PYTORCH."
        [ "${version%%+*}" = "$LIBTORCH_VERSION" ] ||
            fail "python3 has torch $version, and $LIBTORCH_VERSION is needed" \
                "Install that one, or unset LIBTORCH_USE_PYTORCH."
        note "the torch $version of python3"
    elif [ "$LIBTORCH" != "$NOESIS_CACHE/libtorch" ]; then
        # The build skips its own check silently where the file is missing.
        [ -f "$LIBTORCH/build-version" ] ||
            fail "LIBTORCH is $LIBTORCH, which has no file build-version" \
                "Set it to the folder of a libtorch $LIBTORCH_VERSION, or unset it."
        local version
        version="$(cat "$LIBTORCH/build-version")"
        [ "${version%%+*}" = "$LIBTORCH_VERSION" ] ||
            fail "LIBTORCH holds version $version, and $LIBTORCH_VERSION is needed" "Set it to one, or unset it."
        note "your own, in $LIBTORCH"
    elif libtorch_problem "$LIBTORCH" >/dev/null; then
        note "$LIBTORCH_VERSION is there"
    else
        fetch_libtorch
    fi
}

# libtorch_problem FOLDER: prints why the folder is no libtorch; succeeds if it is one.
libtorch_problem() {
    local missing
    [ "$(cat "$1/build-version" 2>/dev/null)" = "$LIBTORCH_VERSION" ] || { echo "no build-version $LIBTORCH_VERSION"; return 1; }
    [ -f "$1/include/torch/csrc/api/include/torch/torch.h" ] || { echo "no torch.h"; return 1; }
    missing="$(LD_LIBRARY_PATH="$1/lib" ldd "$1/lib/libtorch.so" "$1/lib/libtorch_cpu.so" 2>&1)" || { echo "$missing"; return 1; }
    missing="$(printf '%s\n' "$missing" | grep 'not found')" && { echo "$missing"; return 1; }
    return 0
}

fetch_libtorch() {
    [ "$(uname -sm)" = "Linux x86_64" ] ||
        fail "libtorch is fetched for Linux on x86-64 only, and this is $(uname -sm)" "${LIBTORCH_HELP[@]}"
    local folder platform platforms=() wheel problem
    folder="$(fresh_folder libtorch)"
    for platform in manylinux_2_28 manylinux_2_25 manylinux_2_17 manylinux2014; do
        platforms+=(--platform "${platform}_x86_64")
    done
    note "fetching $LIBTORCH_VERSION (550 MB)"
    # One Python version's wheels, whatever Python is here: only their libraries are used.
    retry "$NOESIS_PYTHON" -m pip download --no-cache-dir --no-deps --require-hashes \
        --only-binary=:all: --implementation cp --python-version 3.11 "${platforms[@]}" \
        --dest "$folder/wheels" -r "$NOESIS_ROOT/scripts/steps/libtorch.txt" >&2 ||
        fail "could not fetch libtorch" "Look at pip's message above, then run scripts/setup again." "${LIBTORCH_HELP[@]}"

    note "unpacking"
    mkdir -p "$folder/libtorch/lib"
    for wheel in "$folder"/wheels/*.whl; do
        unzip -q "$wheel" 'torch/include/*' 'torch/lib/libc10.so' 'torch/lib/libtorch_cpu.so' \
            'torch/lib/libgomp.so.1' 'nvidia/*/lib/libcudart.so.13' 'nvidia/*/lib/libcupti.so.13' \
            -d "$folder/unpacked" 2>/dev/null || [ $? = 11 ] || # 11: one of the patterns is not in this wheel
            fail "could not unpack $(basename "$wheel")" "See whether the disk is full ($NOESIS_CACHE), then run scripts/setup again."
    done
    mv "$folder/unpacked/torch/include" "$folder/libtorch/include"
    mv "$folder"/unpacked/torch/lib/* "$folder"/unpacked/nvidia/*/lib/* "$folder/libtorch/lib/"
    # The real libtorch.so only binds the others together, and asks for all of CUDA.
    cc -shared -x c /dev/null -o "$folder/libtorch/lib/libtorch.so" -Wl,-soname,libtorch.so \
        -Wl,--no-as-needed -L"$folder/libtorch/lib" -ltorch_cpu -lc10 -Wl,--allow-shlib-undefined ||
        fail "could not link libtorch.so" "See the linker's message above." "${LIBTORCH_HELP[@]}"
    printf '%s\n' "$LIBTORCH_VERSION" >"$folder/libtorch/build-version"
    problem="$(libtorch_problem "$folder/libtorch")" ||
        fail "the libtorch just fetched is not whole: $problem" "Run scripts/setup again." "${LIBTORCH_HELP[@]}"
    rm -rf "$NOESIS_CACHE/libtorch"
    mv "$folder/libtorch" "$NOESIS_CACHE/libtorch"
    rm -rf "$folder"
}
