# shellcheck shell=bash
# Sourced by scripts/setup: Fashion-MNIST, four packed IDX files, from Debian's package, without root.

IMAGES_FOLDER="$NOESIS_CACHE/data/fashion-mnist"
IMAGES_HASHES="\
cc1d090a38ace84dfa1aa66e3ada7c336ef481a96936906477e6dd344da56eaa  t10k-images-idx3-ubyte.gz
8d3605d196f4be44669e46906da9733c8131fef761fdbfec72c424d5222f1a05  t10k-labels-idx1-ubyte.gz
b0564c3eedabfbf835052cff8503ea422014ce006caf5b757f851416ee8300c7  train-images-idx3-ubyte.gz
0ae29f65d86684f32d1b9c85147786c547b9c6aebcaf235f0400a0cce308b056  train-labels-idx1-ubyte.gz"

# images_whole FOLDER: whether it holds the four files as they were published.
images_whole() {
    (cd "$1" 2>/dev/null && sha256sum --quiet --check - <<<"$IMAGES_HASHES") >/dev/null 2>&1
}

images() {
    if images_whole "$IMAGES_FOLDER"; then
        note "there, 70,000 images"
        return
    fi
    local help=("Elsewhere: put the data set's t10k-images-idx3-ubyte.gz, t10k-labels-idx1-ubyte.gz,"
        "train-images-idx3-ubyte.gz and train-labels-idx1-ubyte.gz into $IMAGES_FOLDER,"
        "then run scripts/setup again. A miner takes images of your own with --data FOLDER.")
    command -v apt-get >/dev/null ||
        fail "this is no Debian or Ubuntu, whose packages carry Fashion-MNIST" "${help[@]}"
    apt_knows dataset-fashion-mnist || apt_update >&2 || true
    apt_knows dataset-fashion-mnist ||
        fail "apt knows no package dataset-fashion-mnist" "As root, run apt-get update, then scripts/setup again." "${help[@]}"

    local folder package
    folder="$(fresh_folder images)"
    note "fetching 31 MB"
    (cd "$folder" && retry apt-get -q -o APT::Sandbox::User=root download dataset-fashion-mnist) >&2 ||
        fail "could not fetch Fashion-MNIST" "Look at apt's message above; as root, apt-get update may help." "${help[@]}"
    for package in "$folder"/*.deb; do dpkg -x "$package" "$folder"; done
    images_whole "$folder/usr/share/datasets/fashion-mnist" ||
        fail "the images just fetched are not those that were published" "Run scripts/setup again." "${help[@]}"
    rm -rf "$IMAGES_FOLDER"
    mkdir -p "$(dirname "$IMAGES_FOLDER")"
    mv "$folder/usr/share/datasets/fashion-mnist" "$IMAGES_FOLDER"
    rm -rf "$folder"
}
