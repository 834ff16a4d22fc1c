"""The product's alerts in a real Prometheus on real runs: a slow rank, a killed one, a run that
ends, one without trouble."""

import os
import signal
import threading
import time
import unittest

from served import ServedTest, need
from training import DECODERS, TINY, Point, saw

OPTIONS = {**TINY, **DECODERS["siren"], "trainer.steps": 1000000, "monitoring.log_every": 2,
           "latent.path": "double_backward"}
# Every rank waits 200 ms in its inner pass, beside which its computing is little, so that all are as fast
# on a machine that others use too.
EVEN = Point("inner", rank="all", step=1, do="delay")
FOR_SECONDS = 10  # that a condition must hold in these tests; see quick_rules


class Pauses:
    """Makes a process slow without code in the product: stopped for most of the time, so that it is
    slower by far than others that share few cores with other programs."""

    def __init__(self, pid, runs=0.04, stops=0.2):  # seconds, in turns
        self.pid = pid
        self.runs = runs
        self.stops = stops
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        try:
            while not self.over.wait(self.runs):
                os.kill(self.pid, signal.SIGSTOP)
                self.over.wait(self.stops)
                os.kill(self.pid, signal.SIGCONT)
        except ProcessLookupError:
            pass

    def end(self):
        self.over.set()
        self.thread.join()


class AlertsTest(ServedTest):
    @classmethod
    def setUpClass(cls):
        need("prometheus")

    def start_even_run(self):
        training = self.start(4, OPTIONS, point=EVEN)
        training.wait_for_step(20)
        return training

    def test_a_slow_rank_is_named_and_nothing_else_fires(self):
        training = self.start_even_run()
        server = self.serve(training.run, rules=self.quick_rules(FOR_SECONDS))
        # Its wait ends while it is stopped, so that it makes one step in 600 ms; it answers scrapes,
        # which come every second, in between.
        pauses = Pauses(training.pids[2], runs=0.1, stops=0.5)
        self.addCleanup(pauses.end)
        slow = {("GondolaStraggler", "run", "2")}
        self.assertEqual(server.wait_for(server.alerts), slow)
        # Long enough for others that came with it to fire as well.
        last = time.monotonic() + 2 * FOR_SECONDS
        while time.monotonic() < last:
            self.assertLessEqual(server.alerts(), slow)  # the others' pace may hide it for a while
            time.sleep(1)
        ratios = {s["metric"]["rank"]: float(s["value"][1]) for s in server.query("gondola:rank_slowness_ratio")}
        saw("slowness " + ", ".join(f"rank {rank} {ratio:.2f}" for rank, ratio in sorted(ratios.items())))
        # It is over when the rank is as fast as the others again.
        pauses.end()
        server.wait_for(lambda: not server.alerts())

    def test_a_killed_rank_is_a_lost_endpoint_and_nothing_else(self):
        training = self.start_even_run()
        server = self.serve(training.run, rules=self.quick_rules(FOR_SECONDS))
        server.wait_for(lambda: len(server.query('up{run="run"} == 1')) == 4)
        training.signal(3, signal.SIGKILL)
        lost = server.wait_for(server.alerts)
        self.assertLessEqual(lost, {("GondolaEndpointLost", "run", str(rank)) for rank in range(4)})
        server.wait_for(lambda: ("GondolaEndpointLost", "run", "3") in server.alerts())
        time.sleep(FOR_SECONDS)
        self.assertEqual({alert for alert, _, _ in server.alerts()}, {"GondolaEndpointLost"})

    def test_a_run_without_trouble_fires_nothing_and_neither_does_its_end(self):
        training = self.start_even_run()
        server = self.serve(training.run, rules=self.quick_rules(FOR_SECONDS))
        server.wait_for(lambda: len(server.query('up{run="run"} == 1')) == 4)
        seconds = float(os.environ.get("GONDOLA_HEALTHY_SECONDS", 40))
        pending = set()
        last = time.monotonic() + seconds
        while time.monotonic() < last:
            self.assertEqual(server.alerts(), set())
            pending |= server.alerts("pending")
            time.sleep(1)
        saw(f"nothing fired in {seconds:.0f} s; pending for a while: {sorted(pending)}")
        training.process.send_signal(signal.SIGUSR1)  # a checkpoint, and the end
        code, _ = training.end()
        self.assertEqual(code, 75)
        server.wait_for(lambda: not server.query('up{ended=""}'))
        last = time.monotonic() + 2 * FOR_SECONDS
        while time.monotonic() < last:
            self.assertEqual(server.alerts(), set())
            time.sleep(1)
        self.assertEqual(len(server.query('up{ended="stopped"} == 0')), 4)


if __name__ == "__main__":
    unittest.main()
