# shellcheck shell=bash
# Sourced by scripts/setup: the King James text, a verse a line, from Debian's packages, without root.

VERSES=31102

text() {
    if [ "$NOESIS_DATA" != "$NOESIS_CACHE/data/king-james.txt" ]; then
        [ -s "$NOESIS_DATA" ] ||
            fail "NOESIS_DATA is $NOESIS_DATA, which is missing or empty" "Name a text file, or unset it."
        note "your own, $NOESIS_DATA"
        return
    fi
    if [ "$(wc -l 2>/dev/null <"$NOESIS_DATA")" = "$VERSES" ]; then
        note "there, $VERSES verses"
        return
    fi
    local help=("Any other plain text will do: scripts/localnet --data FILE, or NOESIS_DATA=FILE for all scripts.")
    command -v apt-get >/dev/null ||
        fail "this is no Debian or Ubuntu, whose packages carry the text" "${help[@]}"
    apt_knows bible-kjv-text || apt_update >&2 || true
    apt_knows bible-kjv-text ||
        fail "apt knows no package bible-kjv-text" "As root, run apt-get update, then scripts/setup again." "${help[@]}"

    local folder lines
    folder="$(fresh_folder text)"
    note "fetching packages"
    (cd "$folder" && retry apt-get -q -o APT::Sandbox::User=root download bible-kjv-text bible-kjv libreadline8) >&2 ||
        fail "could not fetch the text" "Look at apt's message above; as root, apt-get update may help." "${help[@]}"
    local package
    for package in "$folder"/*.deb; do dpkg -x "$package" "$folder"; done
    # Its libreadline only where the system has none.
    LD_LIBRARY_PATH="${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$folder/usr/lib/x86_64-linux-gnu:$folder/lib/x86_64-linux-gnu" \
        "$folder/usr/bin/bible" -p "$folder/usr/lib" -f 'gen1:1-rev22:21' >"$folder/king-james.txt" </dev/null ||
        fail "the program that prints the text did not run" "See its message above." "${help[@]}"
    lines="$(wc -l <"$folder/king-james.txt")"
    [ "$lines" = "$VERSES" ] || fail "the text has $lines verses instead of $VERSES" "${help[@]}"
    mkdir -p "$(dirname "$NOESIS_DATA")"
    mv "$folder/king-james.txt" "$NOESIS_DATA"
    rm -rf "$folder"
}
