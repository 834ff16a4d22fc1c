#!/usr/bin/env bash
# check_files.sh carried|all GOLDEN_CHECK MPIRUN...: runs golden_check on the files carried in tests/golden/files, or on all
# of $GONDOLA_SHARED/golden. Every file of a method that the program has must be within tolerance.
set -euo pipefail

which=$1 program=$2
shift 2
folder=$(dirname "$0")/files
if [[ $which == all ]]; then
    folder=${GONDOLA_SHARED:-}/golden
    if [[ ! -d $folder ]]; then
        echo "SKIPPED: GONDOLA_SHARED names no folder with golden/ (the carried files are checked by golden.carried)"
        exit 77
    fi
fi

# Families that this program does not train.
others='^(vgon|classifier|joint|ae|tied_ae|vae|glo|implicit_classifier|implicit_joint)_'
files=()
for file in "$folder"/*.h5; do
    [[ $(basename "$file") =~ $others ]] || files+=("$file")
done
# A method it does not know ends golden_check with 2, which must not pass here.
"$@" "$program" "${files[@]}"
echo "${#files[@]} files within tolerance"
