#!/usr/bin/env bash
# Compares the loader with what Python programs read images by: see loader.py.
set -euo pipefail

usage() {
    cat <<'USAGE'
Usage: tests/peers/loader.sh [options]

Reads the same images, shuffled, in batches of 64 float32, from the page cache, by `gondola bench loader`
and by numpy, h5py with PyTorch's DataLoader, mosaicml-streaming, webdataset and grain, each on one core
and by turns, and prints one table.

  --folder DIR       the Python environment and the images in each one's format; what is there is used
                     again (default: gondola-peers among the temporary files)
  --data FILE        a data set that `gondola import` made; repeatable (default: noise, 60,000 images
                     1x28x28 and 20,000 images 3x64x64)
  --rounds N         turns of each (default: 5)
  --seconds S        of each turn (default: 2)
  --core N           that they run on (default: 1)
  --gondola PROGRAM  default: build/release/bin/gondola

The packages are installed into DIR/environment by pip; PyTorch is that of set-up where it is there.
USAGE
}

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
folder=${TMPDIR:-/tmp}/gondola-peers
arguments=() gondola=$root/build/release/bin/gondola
while (($#)); do
    case $1 in
        -h | --help) usage; exit 0 ;;
        --folder) folder=$2; shift ;;
        --gondola) gondola=$2; shift ;;
        --data | --rounds | --seconds | --core) arguments+=("$1" "$2"); shift ;;
        *) echo "loader: unknown option $1" >&2; usage >&2; exit 64 ;;
    esac
    shift
done
[[ -x $gondola ]] || {
    echo "loader: $gondola is not there: launch/setup.sh builds it, or name it with --gondola." >&2
    exit 66
}

# shellcheck source=tests/peers/environment.sh
. "$here/environment.sh"
install_peers() {
    # Of what mosaicml-streaming asks for only what it imports: the rest are clients of cloud storage.
    "${pip[@]}" 'numpy<2.2' h5py webdataset grain array_record pillow tqdm requests psutil catalogue zstd Brotli \
        python-snappy 'xxhash<4' 'transformers<5'
    "${pip[@]}" --no-deps mosaicml-streaming torchvision==0.26.0
}
make_environment "$root" "$folder/environment"
exec "$folder/environment/bin/python" -B "$here/loader.py" --folder "$folder" --gondola "$gondola" "${arguments[@]}"
