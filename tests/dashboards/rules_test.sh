#!/usr/bin/env bash
# The rules are well formed, and each alert fires where it should and only there.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
command -v promtool >/dev/null || {
    echo "SKIPPED: there is no promtool; apt-get install prometheus brings it."
    exit 77
}
promtool check rules ../../monitoring/alerts/*.yml
promtool test rules alerts_test.yml
# An alert that no test makes fire is not tested.
for alert in $(sed -nE 's/^ +- alert: (.*)/\1/p' ../../monitoring/alerts/gondola.yml); do
    grep -c "$alert" alerts_test.yml >/dev/null || { echo "no test names $alert" >&2; exit 1; }
done
