"""Dashboards, rules and consoles ask for metrics that the program has, and get data of a real run;
docs/metrics.md lists the same metrics, and is written anew where GONDOLA_WRITE_METRICS is 1."""

import os
import re
import subprocess
import time
import unittest

from queries import filled_in, metrics_in, of_console, of_dashboard, of_rules, unfiltered
from served import MONITORING, ROOT, ServedTest, endpoints, get, need
from training import DECODERS, TINY, saw

RANKS = 4
# A family that reports parts of its loss, so that every metric there is shows itself.
OPTIONS = {**TINY, **DECODERS["conv"], "model.family": "vgon", "trainer.steps": 1000000,
           "monitoring.log_every": 5, "evaluation.every_steps": 60, "evaluation.images": 16,
           "checkpoint.every_steps": 40, "monitoring.samples_every": 100}
OF_PROMETHEUS = {"up", "ALERTS"}


def recorded():
    return {name for kind, name, _ in of_rules(MONITORING / "alerts/recording.yml")}


def families(scrape):
    """Name -> (type, help) of every metric in a scrape."""
    helps = dict(re.findall(r"^# HELP (\S+) (.*)$", scrape, re.MULTILINE))
    return {name: (kind, helps[name])
            for name, kind in re.findall(r"^# TYPE (\S+) (\S+)$", scrape, re.MULTILINE)}


def labels(scrape, name):
    """Names of the labels that a metric has."""
    found = set()
    for inside in re.findall(rf"^{name}(?:_bucket)?\{{(.*)\}} \S+$", scrape, re.MULTILINE):
        found |= set(re.findall(r'(\w+)="', inside))
    return found - {"le"}


class QueriesTest(ServedTest):
    @classmethod
    def setUpClass(cls):
        need("prometheus", "promtool")

    def start_run(self, ranks=RANKS):
        training = self.start(ranks, OPTIONS)
        training.wait_for_step(120)
        return training

    def test_every_query_names_metrics_of_the_program_and_returns_data(self):
        training = self.start_run()
        server = self.serve(training.run)
        scrapes = [get(url + "/metrics") for url in endpoints(training.run).values()]
        known = set()
        for scrape in scrapes:
            known |= set(re.findall(r"^(gondola\w+?)[{ ]", scrape, re.MULTILINE))
        server.wait_for(lambda: len(server.query("gondola:step_seconds > 0")) == RANKS)
        server.wait_for(lambda: server.query("gondola:checkpoint_age_seconds"))

        asked = 0
        for place, expressions in self.queries():
            for expression in expressions:
                with self.subTest(place=place, expression=expression):
                    unknown = metrics_in(expression) - known - recorded()
                    self.assertEqual(unknown, set(), "metrics that no rank exports")
                    server.wait_for(lambda: server.query(expression))  # rates want some scrapes
                    asked += 1
        self.assertGreater(asked, 80)
        saw(f"{asked} queries, each with data of {RANKS} ranks")
        seconds = server.query("max_over_time(scrape_duration_seconds[5m])")
        self.assertEqual(len(seconds), RANKS)
        saw("longest scrape of each rank, ms: "
            + ", ".join(f"{1000 * float(sample['value'][1]):.1f}" for sample in seconds))

    def queries(self):
        for path in sorted((MONITORING / "dashboards").glob("*.json")):
            for title, expressions in of_dashboard(path).items():
                yield f"{path.name}: {title}", [filled_in(e, "run") for e in expressions]
        for path in sorted((MONITORING / "alerts").glob("*.yml")):
            for kind, name, expression in of_rules(path):
                yield f"{path.name}: {name}", [unfiltered(expression) if kind == "alert" else expression]
        for path in sorted((MONITORING / "consoles").glob("*.html")):
            # Alerts that fire have no data where all is well.
            yield path.name, [filled_in(e, "run") for e in of_console(path, "run", "0")
                              if not e.startswith("ALERTS")]

    def test_every_rule_is_found_by_the_test(self):
        for path in (MONITORING / "alerts").glob("*.yml"):
            rules = of_rules(path)
            self.assertEqual(len(rules), len(re.findall(r"^ +- (?:alert|record):", path.read_text(), re.M)))

    def test_a_scrape_is_clean_and_rank_0_names_every_rank(self):
        training = self.start_run(2)
        for rank, url in endpoints(training.run).items():
            start = time.perf_counter()
            scrape = get(url + "/metrics")
            saw(f"rank {rank}: {len(scrape)} bytes in {1000 * (time.perf_counter() - start):.1f} ms")
            check = subprocess.run(["promtool", "check", "metrics"], input=scrape, text=True,
                                   capture_output=True)
            self.assertEqual((check.returncode, check.stdout + check.stderr), (0, ""))
            named = re.findall(r'^gondola_rank_slowness_ratio\{rank="(\d+)"\} ', scrape, re.MULTILINE)
            self.assertEqual(sorted(named), ["0", "1"] if rank == 0 else [])

    def test_the_reference_of_metrics_is_what_a_run_exports(self):
        training = self.start_run(2)
        url = endpoints(training.run)
        first, other = (get(url[rank] + "/metrics") for rank in (0, 1))
        on_other = families(other)
        rows = []
        for name, (kind, words) in sorted(families(first).items()):
            shown = ", ".join(f"`{label}`" for label in sorted(labels(first, name)))
            ranks = "all" if name in on_other and labels(other, name) == labels(first, name) else "0"
            rows.append(f"| `{name}` | {kind} | {shown} | {ranks} | {words} |".replace("|  |", "| |"))
        self.assertLessEqual(set(on_other), set(families(first)))
        table = "\n".join(["| metric | type | labels | ranks | |", "|---|---|---|---|---|", *rows])
        path = ROOT / "docs/metrics.md"
        before, after = "<!-- metrics -->\n", "\n<!-- end -->"
        text = path.read_text()
        begin, end = text.index(before) + len(before), text.index(after)
        if os.environ.get("GONDOLA_WRITE_METRICS") == "1":
            path.write_text(text[:begin] + table + text[end:])
            text = path.read_text()
            end = text.index(after)
        self.assertEqual(text[begin:end].splitlines(), table.splitlines(),
                         "docs/metrics.md is stale: run this test with GONDOLA_WRITE_METRICS=1")


if __name__ == "__main__":
    unittest.main()
