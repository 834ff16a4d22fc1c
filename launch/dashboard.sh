#!/usr/bin/env bash
# A Prometheus of one's own for some runs: dashboards as console pages, recording rules and alerts.
set -euo pipefail

usage() {
    cat <<'USAGE'
Usage: launch/dashboard.sh [options] RUN...

Starts Prometheus on the endpoints of these run folders, prints the address of the dashboard, and
stops on Ctrl-C.  It listens on this machine's loopback only.  A run folder that is resumed is
followed to its new endpoints.

  --port N         listen on this port (default: the first free one from 9090 on)
  --interval S     seconds between scrapes (default 5)
  --keep DIR       keep the recorded data in DIR (default: a temporary folder, removed at the end)
  --rules GLOB     these rule files instead of monitoring/alerts/*.yml
  -h, --help       this text

A run that wants a bearer token names its file in config.ini (monitoring.token_file): it is used.
PROMETHEUS names another prometheus.  Grafana's dashboards are monitoring/dashboards/*.json.
USAGE
}

fail() { printf 'dashboard: %s\n' "$2" >&2; exit "$1"; }

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
port='' interval=5 keep='' rules="$root/monitoring/alerts/*.yml" runs=()
while (($#)); do
    case $1 in
        --port | --interval | --keep | --rules) (($# > 1)) || fail 64 "$1 needs a value." ;;&
        --port) port=$2; shift ;;
        --interval) interval=$2; shift ;;
        --keep) keep=$2; shift ;;
        --rules) rules=$(realpath -m "$2"); shift ;;
        -h | --help) usage; exit 0 ;;
        -*) fail 64 "unknown option $1; launch/dashboard.sh --help lists them." ;;
        *) runs+=("$1") ;;
    esac
    shift
done
((${#runs[@]})) || { usage >&2; exit 64; }
[[ -z $port || ($port =~ ^[0-9]{1,5}$ && $port -ge 1 && $port -le 65535) ]] ||
    fail 64 "--port $port: give a number from 1 to 65535."
[[ $interval =~ ^[1-9][0-9]{0,4}$ ]] || fail 64 "--interval $interval: give whole seconds, at least 1."
prometheus=${PROMETHEUS:-prometheus}
command -v "$prometheus" >/dev/null ||
    fail 66 "$prometheus was not found: install it (Debian: apt-get install prometheus), or name it with PROMETHEUS."

# --- The configuration
quoted() { printf "'%s'" "${1//\'/\'\'}"; } # for YAML

# A run's value of monitoring.token_file.
token_file_of() {
    [[ -f $1/config.ini ]] || return 0
    sed -nE '/^\[monitoring\]/,/^\[/ s/^token_file *= *([^ #].*)$/\1/p' "$1/config.ini" | head -n 1
}

work=$(mktemp -d -t gondola-dashboard-XXXXXX)
pid=''
# shellcheck disable=SC2317  # called by the trap
clean_up() {
    [[ -z $pid ]] || { kill "$pid" 2>/dev/null && wait "$pid"; } || true
    rm -rf "$work"
}
trap clean_up EXIT
config=$work/prometheus.yml
cat >"$config" <<YAML
global: { scrape_interval: ${interval}s, evaluation_interval: ${interval}s, scrape_timeout: ${interval}s }
rule_files: [$(quoted "$rules")]
scrape_configs:
YAML
number=0
for run in "${runs[@]}"; do
    [[ -d $run ]] || fail 66 "there is no run folder $run: name what --run.folder gave to train."
    targets=$(realpath "$run")/prometheus/targets.json
    [[ -f $targets ]] ||
        fail 66 "$run has no prometheus/targets.json: it is no run folder, or its training has not begun."
    if ended=$(grep -oE '"ended": "[a-z]+"' "$targets" | head -n 1); then
        echo "dashboard: $run is over (${ended#*: }), its endpoints are gone; its report is $run/report.html" >&2
    fi
    number=$((number + 1))
    cat >>"$config" <<YAML
  - job_name: gondola-$number
    honor_labels: true
    file_sd_configs: [{ files: [$(quoted "$targets")], refresh_interval: 10s }]
    relabel_configs: [{ target_label: job, replacement: gondola }]
YAML
    token=$(token_file_of "$run")
    [[ -z $token ]] && continue
    [[ -r $token ]] ||
        fail 66 "$run wants the bearer token of $token, which cannot be read from here: start where the run was started, as its user."
    printf '    authorization: { credentials_file: %s }\n' "$(quoted "$(realpath "$token")")" >>"$config"
done

# --- The server
answers() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
if [[ -z $port ]]; then
    for ((port = 9090; port < 9190; ++port)); do answers "$port" || break; done
    ((port < 9190)) || fail 69 "the ports 9090 to 9189 are all taken: name a free one with --port."
elif answers "$port"; then
    fail 69 "port $port is taken: name another with --port, or none."
fi

log=$work/prometheus.log
"$prometheus" --config.file="$config" --web.listen-address="127.0.0.1:$port" --log.level=warn \
    --storage.tsdb.path="${keep:-$work/data}" --web.console.templates="$root/monitoring/consoles" \
    --web.console.libraries="$root/monitoring/consoles/libraries" >"$log" 2>&1 &
pid=$!
trap 'exit 0' INT TERM
is_ready() {
    exec 3<>"/dev/tcp/127.0.0.1/$port" || return 1
    printf 'GET /-/ready HTTP/1.0\r\n\r\n' >&3
    read -r -t 2 -u 3 _ status _ || status=''
    exec 3>&-
    [[ $status == 200 ]]
}
until is_ready 2>/dev/null; do
    kill -0 "$pid" 2>/dev/null || { cat "$log" >&2; pid='' && fail 70 "prometheus ended at once, see above."; }
    sleep 0.1
done
echo "dashboard  http://127.0.0.1:$port/consoles/gondola.html"
echo "alerts     http://127.0.0.1:$port/alerts"
echo "Ctrl-C stops it"
wait "$pid" || fail 70 "prometheus ended: $(tail -n 3 "$log")"
