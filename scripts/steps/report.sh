# shellcheck shell=bash
# Sourced: how the scripts speak, on standard error, so that standard output stays the programs' own.

say() { printf '%s\n' "$*" >&2; }
note() { printf '   %s\n' "$*" >&2; }

# fail WHAT [WHAT TO DO]...: ends the script with words that say what to do next.
fail() {
    printf '\nerror: %s\n' "$1" >&2
    shift
    local line
    for line in "$@"; do printf '   %s\n' "$line" >&2; done
    exit 1
}

# refuse ARGUMENT: ends the script for an argument that it does not know.
refuse() {
    printf 'error: unknown argument %s\n\n' "$1" >&2
    usage >&2
    exit 2
}

# takes_no_arguments ARGUMENT...: answers --help with the script's own `usage`, refuses all else.
takes_no_arguments() {
    [ "$#" = 0 ] && return
    case "$1" in
        -h | --help) usage; exit 0 ;;
        *) refuse "$1" ;;
    esac
}

# timed NAME COMMAND...: runs a command under a headline, and keeps how long it took. The command is
# called plainly, so that within a function, too, the first failure ends the script.
TIMES=()
CURRENT=
timed() {
    local start=$SECONDS
    CURRENT="$1"
    shift
    say "== $CURRENT"
    "$@"
    TIMES+=("$(printf '%6d s  %s' $((SECONDS - start)) "$CURRENT")")
    note "done in $((SECONDS - start)) s"
    CURRENT=
}

# times_taken: prints what `timed` kept.
times_taken() {
    say ""
    say "Time taken:"
    local line
    for line in "${TIMES[@]}"; do say "$line"; done
}

# To be called when a script ends, however it ends: says where it stopped.
ended() {
    if [ "$1" != 0 ] && [ -n "$CURRENT" ]; then
        say ""
        say "Stopped in: $CURRENT (after $SECONDS s in all). What went wrong is above."
    fi
}
trap 'ended $?' EXIT

# retry COMMAND...: three tries, for downloads.
retry() {
    local try
    for try in 1 2 3; do
        "$@" && return 0
        [ "$try" = 3 ] || { note "try $try of 3 failed, again in 5 s"; sleep 5; }
    done
    return 1
}

# fresh_folder NAME: an empty folder for downloads, on the cache's own file system so that a finished
# thing can be moved into place in one step; removed when the script ends.
fresh_folder() {
    local folder="$NOESIS_CACHE/incomplete/$1"
    rm -rf "$folder"
    mkdir -p "$folder"
    printf '%s\n' "$folder"
}
