# shellcheck shell=bash
# Sourced by the comparisons with other programs.

# make_environment ROOT FOLDER: a Python environment in FOLDER with PyTorch, that of set-up where it is there,
# and what the caller's install_peers puts into it with "${pip[@]}".  One that is complete is left alone.
make_environment() {
    local setup_packages python=$2/bin/python
    [[ ! -f $2/complete ]] || return 0
    rm -rf "$2"
    mkdir -p "$(dirname "$2")"
    python3 -m venv "$2"
    pip=("$2/bin/pip" install --quiet --disable-pip-version-check)
    setup_packages=$(echo "$1"/.venv/lib/python3*/site-packages)
    if [[ -d $setup_packages/torch ]]; then
        echo "$setup_packages" >"$("$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/setup.pth"
    else
        "${pip[@]}" torch==2.11.0
    fi
    install_peers
    touch "$2/complete"
}
