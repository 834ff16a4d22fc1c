#!/usr/bin/env bash
# Makes this checkout ready to run: Debian packages, libtorch, configure, build.  Does only what is
# missing, and says nothing when nothing is.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

usage() {
    cat <<'USAGE'
Usage: launch/setup.sh [options]

Installs Debian packages (as root or with sudo), puts libtorch into .venv, configures and builds
into build/release.  What is there already is left alone.

  --cpu            libtorch for CPUs (about 2 GB in all); the default without a CUDA 13 nvcc or a GPU
  --cuda           libtorch with CUDA and NCCL (about 5 GB), and nvcc when it is missing
  --torch DIR      use the libtorch in DIR (a cluster's) and install none
  --target NAME    build only this target (gondola: the program without its tests)
  --no-build       stop before configuring and building
  --slurm          also install Slurm, which the tests labelled slurm run in a throw-away cluster
  --dashboards     also install Prometheus and Chromium, which launch/dashboard.sh and the tests
                   labelled dashboards use
  --download DIR   keep the packages that are downloaded in DIR; run on a fresh machine, that is
                   what --offline needs
  --offline DIR    install from DIR (*.deb, *.whl) instead of the network
  -h, --help       this text
USAGE
}

build_packages=(g++ cmake ninja-build ccache mold pkg-config python3 python3-venv)
library_packages=(libopenmpi-dev openmpi-bin libhdf5-dev libboost-program-options-dev
    prometheus-cpp-dev libcpp-httplib-dev libspdlog-dev nlohmann-json3-dev libxxhash-dev libpng-dev
    libjpeg-dev libturbojpeg0-dev libwebp-dev libarchive-dev liblmdb-dev zlib1g-dev libssl-dev
    libgtest-dev libgmock-dev)
data_packages=(dataset-fashion-mnist)
slurm_packages=(slurmctld slurmd slurm-client munge libpmix-dev iproute2)
dashboard_packages=(prometheus chromium)

torch_wheel=torch==2.11.0
tool_wheels=(clang-format==14.0.6)
cpu_wheels=(nvidia-cuda-runtime==13.0.96 nvidia-cuda-cupti==13.0.85) # what libtorch_cpu.so loads
# All four are named: left to themselves, nvvm and crt drift from nvcc and ptxas fails.
nvcc_wheels=('cuda-toolkit[nvcc,nvvm,crt,cccl]==13.0.2')

die() { printf 'setup: %s\n' "$*" >&2; exit 1; }
say() { printf 'setup: %s\n' "$*"; }

route='' torch_folder='' target=all build=true with_slurm=false with_dashboards=false offline='' download=''
while (($#)); do
    case $1 in
        --torch | --target | --download | --offline) (($# > 1)) || die "$1 needs a value." ;;&
        --cpu) route=cpu ;;
        --cuda) route=cuda ;;
        --torch) torch_folder=$(realpath -m "$2"); shift ;;
        --target) target=$2; shift ;;
        --no-build) build=false ;;
        --slurm) with_slurm=true ;;
        --dashboards) with_dashboards=true ;;
        --download) download=$(realpath -m "$2"); shift ;;
        --offline) offline=$(realpath -m "$2"); shift ;;
        -h | --help) usage; exit 0 ;;
        *) die "unknown option $1; launch/setup.sh --help lists them." ;;
    esac
    shift
done
[[ -z $offline || -d $offline ]] || die "--offline $offline: there is no such folder."
[[ -z $torch_folder || -f $torch_folder/lib/libtorch_cpu.so ]] ||
    die "--torch $torch_folder: there is no lib/libtorch_cpu.so in it."
[[ -z $offline || -z $download ]] || die "--offline and --download exclude each other."

mkdir -p build
log=build/setup.log
: >"$log"

# Runs a command into the log; shows the log's end when it fails.
logged() {
    printf '+ %s\n' "$*" >>"$log"
    "$@" >>"$log" 2>&1 </dev/null || {
        tail -n 30 "$log" >&2
        die "this failed: $* (the whole log is $log)."
    }
}

# --- Debian packages
missing_packages() {
    local status
    status=$(dpkg-query -W -f='${db:Status-Status} ${Package}\n' "${packages[@]}" 2>/dev/null || true)
    for package in "${packages[@]}"; do
        [[ $'\n'$status$'\n' == *$'\n'"installed $package"$'\n'* ]] || printf '%s\n' "$package"
    done
}

packages=("${build_packages[@]}" "${library_packages[@]}" "${data_packages[@]}")
! $with_slurm || packages+=("${slurm_packages[@]}")
! $with_dashboards || packages+=("${dashboard_packages[@]}")
missing=()
if command -v dpkg-query >/dev/null; then
    mapfile -t missing < <(missing_packages)
else
    say "this is not Debian: the counterparts of ${packages[*]} have to be there already."
fi
apt=(apt-get -y --no-install-recommends -o Acquire::Retries=3 -o DPkg::Lock::Timeout=120)
if ((${#missing[@]})); then
    as_root=()
    if [[ $(id -u) != 0 ]]; then
        wanted="${missing[*]}"
        [[ -z $offline ]] || wanted="$offline/*.deb"
        command -v sudo >/dev/null ||
            die "run this as root, then start again: apt-get update && apt-get install -y --no-install-recommends $wanted"
        as_root=(sudo)
    fi
    as_root+=(env DEBIAN_FRONTEND=noninteractive)
    if [[ -n $offline ]]; then
        compgen -G "$offline/*.deb" >/dev/null ||
            die "these packages are missing here and there is no .deb file in $offline: ${missing[*]}"
        say "installing ${#missing[@]} Debian packages from $offline"
        logged "${as_root[@]}" "${apt[@]}" install "$offline"/*.deb
        mapfile -t missing < <(missing_packages)
        ((${#missing[@]} == 0)) || die "$offline lacks these packages: ${missing[*]}"
    else
        say "installing ${#missing[@]} Debian packages: ${missing[*]}"
        logged "${as_root[@]}" "${apt[@]}" update
        if [[ -n $download ]]; then
            mkdir -p "$download/partial"
            apt+=(-o "Dir::Cache::archives=$download")
        fi
        logged "${as_root[@]}" "${apt[@]}" install "${missing[@]}"
        [[ -z $download ]] || rm -rf "$download/partial" "$download/lock"
    fi
fi

# --- libtorch
# The nvcc of CUDA 13, which torch 2.11 is built with, or nothing.
find_nvcc() {
    local candidate
    for candidate in "${CUDACXX-}" "${CUDA_HOME-}/bin/nvcc" "$(command -v nvcc || true)" \
        /usr/local/cuda/bin/nvcc; do
        [[ -x $candidate ]] || continue
        if "$candidate" --version | grep -q 'release 13\.'; then
            printf '%s\n' "$candidate"
            return
        fi
    done
}
# Wheels are done when this file names them: an interrupted pip leaves it unwritten.
stamp=.venv/gondola-wheels
nvcc=$(find_nvcc)
if [[ -z $route && -f $stamp ]]; then
    route=$(sed -n '1s/^route //p' "$stamp") # what was chosen before
fi
if [[ -z $route ]]; then
    if [[ -n $nvcc || -e /dev/nvidiactl ]]; then route=cuda; else route=cpu; fi
fi

pip() { .venv/bin/python -m pip --disable-pip-version-check "$1" --progress-bar off "${@:2}"; }
pip_source=()
[[ -z $offline$download ]] || pip_source=(--no-index --find-links "${offline:-$download}")

python_with_venv() {
    local python
    for python in python3 /usr/bin/python3; do
        if "$python" -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
            command -v "$python"
            return
        fi
    done
    die "no Python of at least 3.10 with its venv module was found: install python3-venv."
}

if [[ $route == cuda ]]; then
    steps=("$torch_wheel ${tool_wheels[*]}")
    [[ -n $nvcc ]] || steps+=("${nvcc_wheels[*]}")
else
    steps=("--no-deps $torch_wheel ${cpu_wheels[*]} ${tool_wheels[*]}")
fi
wanted_stamp="route $route"$'\n'"$(printf '%s\n' "${steps[@]}")"
if [[ -n $torch_folder ]]; then
    :
elif [[ -n $download || ! -f $stamp || $(<"$stamp") != "$wanted_stamp" ]]; then
    [[ -x .venv/bin/python ]] || logged "$(python_with_venv)" -m venv .venv
    size=0.6
    [[ $route == cpu ]] || size=2.7
    say "installing libtorch, $route route (about $size GB of downloads)"
    for step in "${steps[@]}"; do
        # shellcheck disable=SC2086  # a step is several words
        [[ -z $download ]] || logged pip download --dest "$download" $step
        # shellcheck disable=SC2086
        logged pip install "${pip_source[@]}" $step
    done
    printf '%s\n' "$wanted_stamp" >"$stamp"
fi
if [[ $route == cuda && -z $nvcc && -z $torch_folder ]]; then
    cu13=$(echo "$PWD"/.venv/lib/python3*/site-packages/nvidia/cu13)
    [[ -e $cu13/lib64 ]] || ln -s lib "$cu13/lib64"
    nvcc=$cu13/bin/nvcc
fi
$build || exit 0

# --- configure and build
folder=build/release
settings=()
if [[ $route == cuda ]]; then
    settings+=("GONDOLA_CUDA=ON" "GONDOLA_NVCC=$nvcc")
elif [[ -z $torch_folder ]]; then
    settings+=("GONDOLA_CUDA=OFF")
fi
[[ -z $torch_folder ]] || settings+=("TORCH_ROOT=$torch_folder")
[[ -z ${GONDOLA_WERROR-} ]] || settings+=("GONDOLA_WERROR=$GONDOLA_WERROR")
configured=true
[[ -f $folder/build.ninja ]] || configured=false
if [[ -z $torch_folder ]] && grep -qs '^TORCH_ROOT:' "$folder/CMakeCache.txt"; then
    configured=false # it was another libtorch's
fi
for setting in "${settings[@]}"; do
    grep -qs "^${setting%%=*}:[A-Z]*=${setting#*=}\$" "$folder/CMakeCache.txt" || configured=false
done
if ! $configured; then
    say "configuring $folder"
    # What an earlier libtorch left in the cache would be found again.
    logged cmake --fresh --preset release "${settings[@]/#/-D}"
fi

# A compiler may take 1.5 GB: fewer at once where memory is short.
available_mb=$(awk '/^MemAvailable/ { print int($2 / 1024) }' /proc/meminfo)
jobs=$(nproc)
((jobs * 1500 <= available_mb)) || jobs=$((available_mb / 1500 > 0 ? available_mb / 1500 : 1))
NINJA_STATUS='[%f/%t, %e s] ' ninja -C "$folder" -j "$jobs" "$target" 2>&1 |
    tee -a "$log" |
    { grep --line-buffered -vE \
        '^ninja: (Entering directory|no work to do)|Looking at the git revision' || true; } ||
    die "the build failed; the whole log is $log."
