"""The live page and the console in a real browser: they draw, go on while training does, are
readable on a telephone, and say so when the run is gone.

GONDOLA_PICTURES names a folder that screenshots are left in."""

import os
import re
import signal
import unittest
from pathlib import Path

from alerts_test import Pauses
from browser import Browser
from processes import PATIENCE, go_on, halt
from served import ServedTest, endpoints, missing, need
from training import DECODERS, TINY

OPTIONS = {**TINY, **DECODERS["siren"], "model.hidden": 64, "model.layers": 3, "trainer.batch_size": 32, "trainer.precision": "float32",
           "optimizer.learning_rate": 1e-4, "trainer.steps": 1000000, "monitoring.log_every": 5, "evaluation.every_steps": 50,
           "evaluation.images": 32, "checkpoint.every_steps": 50, "checkpoint.keep": 3,
           "monitoring.samples_every": 50}


class BrowserTest(ServedTest):
    @classmethod
    def setUpClass(cls):
        need("chromium")

    def setUp(self):
        super().setUp()
        self.browser = Browser()
        self.addCleanup(self.browser.close)
        self.pictures = Path(os.environ.get("GONDOLA_PICTURES", self.folder))

    def start_run(self, ranks, *options, **kwargs):
        training = self.start(ranks, OPTIONS, *options, **kwargs)
        training.wait_for_step(110)
        return training, endpoints(training.run)[0]

    def status(self):
        return self.browser.text("#status")

    def open_live(self, url, **how):
        self.browser.show(url, **how)
        self.browser.wait_for(lambda: self.status().startswith("Training, as of"))

    def assert_fits(self, width):
        """Nothing is wider than the screen: a telephone's browser would make the window wider."""
        self.assertLessEqual(self.browser.ask("document.documentElement.scrollWidth"), width)

    def test_the_live_page_draws_and_goes_on_with_the_run(self):
        training, url = self.start_run(4)
        pauses = Pauses(training.pids[2])
        self.addCleanup(pauses.end)
        self.open_live(url)
        browser = self.browser
        browser.wait_for(lambda: "slow" in browser.text("#ranks"))
        self.assertEqual(browser.text("h1"), "run")
        self.assertIn("4 ranks", browser.text("#about"))
        first = int(browser.text("#step"))
        self.assertGreater(first, 0)
        browser.wait_for(lambda: int(browser.text("#step")) > first)
        # Curves with points, bars of every rank, the slow one marked, a picture that was decoded.
        self.assertGreater(browser.ask("document.querySelector('#loss-chart path.curve').getAttribute('d').length"), 50)
        self.assertEqual(browser.ask("document.querySelectorAll('#ranks .bar').length"), 4)
        # The mark comes and goes with the pace of the other ranks, where these share few cores.
        marked = "[...document.querySelectorAll('#ranks .slow')].map(e => e.innerText).join(' ')"
        browser.wait_for(lambda: re.match(r"rank 2 slow: \d+\.\d\d", browser.ask(marked)))
        browser.wait_for(lambda: browser.ask("document.getElementById('picture').naturalWidth > 100"))
        self.assertIn("test" if "test" in browser.text("#best-of") else "train", browser.text("#best-of"))
        self.assertRegex(browser.text("#checkpoints"), r"step\s+written\s+age")
        self.assertIn("[trainer]", browser.ask("document.getElementById('config').textContent"))
        # Nothing was asked of anyone but the run.
        self.assertEqual([r for r in browser.requests
                          if not r.startswith((url, "about:", "blob:", "data:"))], [])
        self.assert_fits(1280)
        browser.picture(self.pictures / "live-1280.png")
        for width, scheme in ((390, "light"), (1280, "dark"), (390, "dark")):
            self.open_live(url, width=width, scheme=scheme)
            browser.wait_for(lambda: browser.ask("document.getElementById('picture').naturalWidth > 100"))
            self.assert_fits(width)
            browser.picture(self.pictures / f"live-{width}-{scheme}.png")
        self.assertEqual(browser.ask("getComputedStyle(document.body).backgroundColor"), "rgb(20, 20, 19)")

    def test_a_run_that_finished_or_failed_is_not_shown_as_training(self):
        # All steps done: the run ends by itself while the page looks on; rank 0 waits till it does.
        training, url = self.start_run(2, {"trainer.steps": 400, "parallel.timeout_seconds": PATIENCE},
                                       run="ends")
        halt([training.pids[1]])
        self.open_live(url)
        go_on([training.pids[1]])
        self.assertEqual(training.end()[0], 0)
        self.browser.wait_for(lambda: self.status().startswith("No answer since"))
        self.assertRegex(self.status(), r"Last state: step \d+ of 400")
        self.assertIn("finished", self.status())
        self.browser.picture(self.pictures / "live-ended.png")
        for width in (1280, 390):
            self.browser.show(f"file://{training.run}/report.html", width=width)
            self.browser.wait_for(lambda: self.browser.ask("document.querySelectorAll('svg').length > 3"))
            self.assert_fits(width)
            self.browser.picture(self.pictures / f"report-{width}.png")
        # A killed rank takes the run with it.
        training, url = self.start_run(2, run="fails")
        self.open_live(url)
        training.signal(1, signal.SIGKILL)
        self.browser.wait_for(lambda: self.status().startswith("No answer since"))
        self.assertRegex(self.status(), r"Last state: step \d+ of 1000000\..*stopped or failed")
        self.assertGreater(int(self.browser.text("#step")), 0)  # what was known is still there

    def test_the_token_is_asked_for_once(self):
        token = self.folder / "token"
        token.write_text("s3cret&+ token\n")
        _, url = self.start_run(1, {"monitoring.token_file": token})
        browser = self.browser
        browser.show(url + "/")
        browser.wait_for(lambda: browser.text("#words"))
        self.assertEqual(browser.text("#step"), "")

        def give(text):
            browser.ask(f"document.getElementById('token').value = {text!r}")
            browser.click("button")

        give("wrong")
        browser.wait_for(lambda: "not the token" in browser.text("#words"))
        give("s3cret&+ token")
        browser.wait_for(lambda: self.status().startswith("Training, as of"))
        self.assertEqual(browser.ask("location.search"), "")  # out of sight, and of the history
        browser.ask("window.isBeforeReload = true")
        browser.call("Page.reload")
        browser.wait_for(lambda: browser.ask("!window.isBeforeReload") and
                         self.status().startswith("Training, as of"))
        self.assertEqual(browser.ask("location.search"), "")
        # Where the address brings it, nothing is asked.
        other = Browser()
        self.addCleanup(other.close)
        other.show(url + "/?token=s3cret%26%2B+token")
        other.wait_for(lambda: other.text("#status").startswith("Training, as of"))
        self.assertEqual(other.ask("location.search"), "")

    def test_the_console_draws_the_run(self):
        if missing("prometheus"):
            self.skipTest(missing("prometheus"))
        training, _ = self.start_run(4)
        server = self.serve(training.run)
        server.wait_for(lambda: len(server.query("gondola:step_seconds > 0")) == 4)
        browser = self.browser
        for width in (1280, 390):
            browser.show(server.url + "/consoles/gondola.html", width=width)
            browser.wait_for(lambda: "4 of 4" in browser.text("table"))
            browser.picture(self.pictures / f"console-runs-{width}.png")
            browser.click("a[href*=run]")
            drawn = "document.querySelectorAll('#charts svg path.curve').length"
            charts = browser.wait_for(lambda: browser.ask("document.querySelectorAll('#charts section').length"))
            browser.wait_for(lambda: browser.ask("document.querySelectorAll('#charts svg').length") == charts)
            self.assertGreater(browser.ask(drawn), charts)
            self.assertIn("rank 3", browser.text("table"))
            self.assert_fits(width)
            browser.picture(self.pictures / f"console-{width}.png")


if __name__ == "__main__":
    unittest.main()
