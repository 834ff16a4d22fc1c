"""A real Prometheus on real runs, started as a user does: by launch/dashboard.sh."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from pathlib import Path

from processes import PATIENCE
from training import TrainingTest

ROOT = Path(os.environ["GONDOLA_SOURCE_DIR"])
MONITORING = ROOT / "monitoring"
DASHBOARD = ROOT / "launch/dashboard.sh"


def missing(program):
    """Why a test that needs this program is skipped; empty where it is there."""
    package = "prometheus" if program == "promtool" else program
    return "" if shutil.which(program) else f"there is no {program}; apt-get install {package} brings it."


def need(*programs):
    """Skips the whole suite where one of them is missing."""
    for program in programs:
        if missing(program):
            print("SKIPPED: " + missing(program))
            sys.exit(77)


def get(url, token=None):
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=PATIENCE) as answer:
        return answer.read().decode()


def endpoints(run):
    """Rank -> address of the run's endpoints."""
    return {int(group["labels"]["rank"]): "http://" + group["targets"][0]
            for group in json.loads((run / "prometheus/targets.json").read_text())}


class Server:
    """launch/dashboard.sh on some run folders, scraping every second."""

    def __init__(self, runs, *options):
        # In a process group of its own, as from a terminal, for Ctrl-C.
        self.process = subprocess.Popen(
            [DASHBOARD, "--interval", "1", *map(str, options), *map(str, runs)],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True)
        self.said = ""
        while "dashboard  http" not in self.said:
            line = self.process.stdout.readline()
            if not line:
                raise RuntimeError("no dashboard: " + self.said)
            self.said += line
        self.url = re.search(r"dashboard  (http://[^/]+)", self.said)[1]

    def stop(self):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGINT)
        self.process.stdout.close()
        return self.process.wait(timeout=PATIENCE)

    def api(self, path, **parameters):
        return json.loads(get(f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"))["data"]

    def query(self, expression):
        return self.api("query", query=expression)["result"]

    def alerts(self, state="firing"):
        """(alert, run, rank) of each that is in this state."""
        return {(alert["labels"]["alertname"], alert["labels"].get("run"), alert["labels"].get("rank"))
                for alert in self.api("alerts")["alerts"] if alert["state"] == state}

    def wait_for(self, what):
        """Returns what `what` returns, once that is true."""
        last = time.monotonic() + PATIENCE
        while not (found := what()):
            if time.monotonic() > last:
                raise AssertionError(f"not in {PATIENCE} s; alerts: {self.alerts()} {self.alerts('pending')}")
            time.sleep(0.5)
        return found


class ServedTest(TrainingTest):
    def start(self, *args, **kwargs):
        training = super().start(*args, **kwargs)
        self.addCleanup(training.process.stderr.close)
        self.addCleanup(training.process.stdout.close)
        return training

    def serve(self, *runs, rules=None):
        options = [] if rules is None else ["--rules", rules]
        server = Server(runs, *options)
        self.addCleanup(server.stop)
        return server

    def quick_rules(self, seconds):
        """The product's rules, except that an alert fires after `seconds` of its condition where it
        takes minutes; expressions, thresholds and ranges are the product's."""
        folder = self.folder / "rules"
        folder.mkdir(exist_ok=True)
        for path in (MONITORING / "alerts").glob("*.yml"):
            text = re.sub(r"^( +for: )\d+[smh]$", rf"\g<1>{seconds}s", path.read_text(), flags=re.MULTILINE)
            (folder / path.name).write_text(text)
        return folder / "*.yml"
