# shellcheck shell=bash
# Sourced by the scripts that end as a command of the program noesis: checks what was asked for, sets up, builds, starts.

noesis="$CARGO_TARGET_DIR/release/noesis"

# own_options COMMAND: the rest of the script's help, the command's own.
own_options() {
    if [ -x "$noesis" ]; then
        echo "It sets up and builds what is missing, and then is noesis $1:"
        echo
        "$noesis" "$1" --help
    else
        echo "All options are those of noesis $1, which appear here once it is built."
    fi
}

# Always of the whole workspace, so that what is built first fits what is built later. The folder of
# the caller stays the current one, so that relative paths mean what they say.
build() { cargo build --release --workspace "$@" --manifest-path "$NOESIS_ROOT/Cargo.toml"; }

# start COMMAND [OPTIONS]: help, or all the rest.
start() {
    local command="$1" setup=run argument
    shift
    for argument in "$@"; do
        case "$argument" in
            -h | --help) usage; exit 0 ;;
            --data | --data=*) setup=build ;; # no need of ours
            image | tensor | all | --market=image | --market=tensor | --market=all) [ "$setup" = build ] || setup=images ;;
        esac
    done
    # The command line comes first: it says within a minute or two what is wrong with the options, where
    # all the rest takes half an hour. It needs Rust and a C compiler, no more.
    if ! command -v cargo >/dev/null || ! command -v cc >/dev/null; then
        "$NOESIS_ROOT/scripts/setup" "$setup"
    fi
    timed "Build of the command line" build --bin noesis
    timed "Options" "$noesis" "$command" --check "$@"
    "$NOESIS_ROOT/scripts/setup" "$setup"
    # The set-up may have chosen a toolchain for Wasm.
    # shellcheck source=scripts/env
    source "$NOESIS_ROOT/scripts/env"
    timed "Build" build --bins
    exec "$noesis" "$command" "$@"
}
