"""launch/dashboard.sh: what it says of bad input, and that it leaves nothing behind."""

import os
import socket
import subprocess
import unittest
import urllib.error

from processes import PATIENCE
from served import DASHBOARD, ServedTest, endpoints, get, need
from training import DECODERS, TINY

OPTIONS = {**TINY, **DECODERS["siren"], "trainer.steps": 1000000}


def dashboard(*arguments, **environment):
    return subprocess.run([DASHBOARD, *map(str, arguments)], capture_output=True, text=True, timeout=PATIENCE,
                          env={**os.environ, **environment})


class DashboardScriptTest(ServedTest):
    @classmethod
    def setUpClass(cls):
        need("prometheus")

    def assert_refused(self, ended, code, *parts):
        self.assertEqual(ended.returncode, code, ended.stderr)
        self.assertEqual(len(ended.stderr.splitlines()), 1, ended.stderr)
        for part in ("dashboard: ", *parts):
            self.assertIn(part, ended.stderr)

    def make_run(self, name="a", config=""):
        run = self.folder / name
        (run / "prometheus").mkdir(parents=True)
        (run / "prometheus/targets.json").write_text("[]")
        (run / "config.ini").write_text(config)
        return run

    def test_bad_input_gets_one_sentence(self):
        run = self.make_run()
        self.assert_refused(dashboard(run, PROMETHEUS="no-such-prometheus"), 66,
                            "no-such-prometheus was not found", "apt-get install prometheus")
        self.assert_refused(dashboard(self.folder / "none"), 66, "none", "--run.folder")
        self.assert_refused(dashboard(self.folder), 66, "targets.json")
        self.assert_refused(dashboard("--port", "70000", run), 64, "--port 70000", "65535")
        self.assert_refused(dashboard("--interval", "0", run), 64, "--interval 0")
        self.assert_refused(dashboard("--colour", run), 64, "--colour", "--help")
        self.assert_refused(dashboard(run, "--port"), 64, "--port needs a value")
        self.assertEqual(dashboard().returncode, 64)
        guarded = self.make_run("b", "[monitoring]\nbind = 0.0.0.0\ntoken_file = /no/token\n")
        self.assert_refused(dashboard(guarded), 66, "/no/token")
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            self.assert_refused(dashboard("--port", port, run), 69, f"port {port} is taken")

    def test_ctrl_c_ends_it_and_its_folder(self):
        temporary = self.folder / "tmp"
        temporary.mkdir()
        os.environ["TMPDIR"] = str(temporary)
        self.addCleanup(os.environ.pop, "TMPDIR")
        server = self.serve(self.make_run())
        self.assertIn("No run answers", get(server.url + "/consoles/gondola.html"))
        self.assertNotEqual(list(temporary.iterdir()), [])
        self.assertEqual(server.stop(), 0)
        self.assertEqual(list(temporary.iterdir()), [])
        with self.assertRaises(urllib.error.URLError):
            get(server.url)

    def test_two_runs_one_with_a_token_are_one_dashboard(self):
        token = self.folder / "token"
        token.write_text("s3cret\n")
        first = self.start(1, OPTIONS, run="first")
        second = self.start(2, OPTIONS, {"monitoring.token_file": token}, run="it's the second")
        for training in (first, second):
            training.wait_for_step(20)
        with self.assertRaises(urllib.error.HTTPError):
            get(endpoints(second.run)[0] + "/metrics")
        server = self.serve(first.run, second.run)
        up = server.wait_for(lambda: len(found := server.query('up{job="gondola"} == 1')) == 3 and found)
        self.assertEqual({(s["metric"]["run"], s["metric"]["rank"]) for s in up},
                         {("first", "0"), ("it's the second", "0"), ("it's the second", "1")})
        server.wait_for(lambda: server.query("gondola:rank_slowness_ratio"))
        page = get(server.url + "/consoles/gondola.html")
        for text in ("first</a>", "the second</a>", "no alert"):
            self.assertIn(text, page)


if __name__ == "__main__":
    unittest.main()
