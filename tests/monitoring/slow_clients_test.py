"""Clients that hold on to the metrics endpoint of a run: it trains on, and is scraped."""

import json
import os
import signal
import socket
import statistics
import subprocess
import tempfile
import threading
import time
import unittest
import urllib.request
from pathlib import Path

PROGRAM = os.environ["GONDOLA_PROGRAM"]
OPTIONS = {
    "run.folder": "run", "data.path": "synthetic:256x1x28x28", "trainer.batch_size": 32,
    "trainer.steps": 1000000, "model.decoder": "siren", "model.hidden": 32, "model.layers": 2,
    "latent.size": 8, "parallel.threads": 1, "parallel.device": "cpu", "monitoring.log_every": 1,
    "monitoring.samples_every": 0, "evaluation.every_steps": 0, "checkpoint.every_steps": 0,
}
CLIENTS = 100
PAIRS = 20
WINDOW_SECONDS = 0.5
SCRAPE_SECONDS = 10.0  # Prometheus' own patience


class SlowClients:
    """Connections that send a byte of a request now and then; those that are cut off come again."""

    def __init__(self, port):
        self.port = port
        self.cut_off = 0
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.drip)

    def connect(self):
        client = socket.create_connection(("127.0.0.1", self.port), timeout=1)
        client.sendall(b"GET /metrics HTTP/1.1\r\nX: ")
        client.setblocking(False)
        return client

    def drip(self):
        clients = []
        while not self.ended.is_set():
            for i, client in enumerate(clients):
                try:
                    client.send(b"x")
                except OSError:
                    self.cut_off += 1
                    client.close()
                    clients[i] = None
            clients = [client for client in clients if client]
            try:
                for _ in range(min(20, CLIENTS - len(clients))):
                    clients.append(self.connect())
            except OSError:
                pass  # they are many: again in the next round
            self.ended.wait(0.1)
        for client in clients:
            client.close()

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()


class SlowClientsTest(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory(prefix="gondola-test-")
        self.addCleanup(temporary.cleanup)
        self.run = Path(temporary.name) / "run"
        words = [word for name, value in OPTIONS.items() for word in (f"--{name}", str(value))]
        self.process = subprocess.Popen([PROGRAM, "train", *words], cwd=temporary.name,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self.addCleanup(self.end)
        deadline = time.monotonic() + 120
        while not (self.run / "prometheus/targets.json").exists() or self.steps() < 5:
            self.assertIsNone(self.process.poll(), "the run has ended")
            self.assertLess(time.monotonic(), deadline, "the run has not come to its fifth step")
            time.sleep(0.02)
        targets = json.loads((self.run / "prometheus/targets.json").read_text())
        self.port = int(targets[0]["targets"][0].rsplit(":", 1)[1])

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    def steps(self):
        try:
            return (self.run / "metrics.csv").read_bytes().count(b"\n")
        except FileNotFoundError:
            return 0

    def scrape(self):
        """Seconds that an answer took."""
        begin = time.monotonic()
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics",
                                    timeout=SCRAPE_SECONDS) as answer:
            self.assertIn(b"gondola_steps_total", answer.read())
        return time.monotonic() - begin

    def steps_a_second(self):
        begin, before = time.monotonic(), self.steps()
        time.sleep(WINDOW_SECONDS)
        return (self.steps() - before) / (time.monotonic() - begin)

    def test_training_and_scrapes_go_on(self):
        alone, beside, scrapes, cut_off = [], [], [], 0

        def without_clients():
            alone.append(self.steps_a_second())

        def with_clients():
            nonlocal cut_off
            with SlowClients(self.port) as clients:
                time.sleep(0.7)  # till all are there
                beside.append(self.steps_a_second())
                scrapes.append(self.scrape())
            cut_off += clients.cut_off

        # Many short windows in turns, first the one kind, then the other: other work on the machine,
        # which comes and goes, is in the way of both alike.
        for pair in range(PAIRS):
            for window in (without_clients, with_clients)[::1 if pair % 2 == 0 else -1]:
                window()
        ratio = statistics.median(beside) / statistics.median(alone)
        print(f"saw: {CLIENTS} slow clients: steps a second {ratio:.2f} of those without (medians of "
              f"{PAIRS} windows each), slowest of {len(scrapes)} scrapes {max(scrapes):.2f} s, "
              f"{cut_off} connections cut off")
        self.assertGreater(ratio, 0.5)
        self.assertGreater(cut_off, CLIENTS)
        self.process.send_signal(signal.SIGUSR1)
        _, said = self.process.communicate(timeout=60)
        self.assertEqual(self.process.returncode, 75, said.decode())


if __name__ == "__main__":
    unittest.main()
