"""A headless Chromium, driven through its debugging pipe: no library, no network."""

import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time

from processes import PATIENCE

# What the browser says to a question about a page that is left before the answer is there.
LEFT = ("Inspected target navigated or closed", "Promise was collected", "Cannot find context with specified id",
        "Execution context was destroyed")


class Navigated(RuntimeError):
    """The page was left before it answered; the next one can be asked."""


class Browser:
    """One tab.  Its size, colour scheme and token memory (a tab's session) are its own."""

    def __init__(self):
        self.profile = tempfile.TemporaryDirectory(prefix="gondola-chromium-", ignore_cleanup_errors=True)
        to_browser, self.write_end = os.pipe()
        self.read_end, from_browser = os.pipe()
        # The browser reads commands from descriptor 3 and writes answers to 4.
        self.process = subprocess.Popen(
            ["bash", "-c", f'exec "$@" 3<&{to_browser} 4>&{from_browser}', "bash", shutil.which("chromium"),
             "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run",
             "--disable-dev-shm-usage", "--disable-background-networking", "--hide-scrollbars",
             f"--user-data-dir={self.profile.name}", "--remote-debugging-pipe", "about:blank"],
            pass_fds=(to_browser, from_browser), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(to_browser)
        os.close(from_browser)
        self.number = 0
        self.buffer = b""
        self.session = None
        self.requests = []  # addresses that pages asked for
        page = self.wait_for(lambda: next((t for t in self.call("Target.getTargets")["targetInfos"]
                                           if t["type"] == "page"), None))
        self.session = self.call("Target.attachToTarget", targetId=page["targetId"], flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime"):
            self.call(domain + ".enable")

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self.write_end)
        os.close(self.read_end)
        self.profile.cleanup()

    def call(self, method, timeout=PATIENCE, **parameters):
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session is not None:
            message["sessionId"] = self.session
        os.write(self.write_end, json.dumps(message).encode() + b"\0")
        last = time.monotonic() + timeout
        while True:
            answer = self.read(last)
            if answer.get("method") == "Network.requestWillBeSent":
                self.requests.append(answer["params"]["request"]["url"])
            if answer.get("id") == self.number:
                if "error" in answer:
                    said = answer["error"].get("message", "")
                    kind = Navigated if any(text in said for text in LEFT) else RuntimeError
                    raise kind(f"{method}: {answer['error']}")
                return answer["result"]

    def read(self, last):
        while b"\0" not in self.buffer:
            ready, _, _ = select.select([self.read_end], [], [], max(0, last - time.monotonic()))
            block = os.read(self.read_end, 1 << 20) if ready else b""
            if not block:
                raise RuntimeError("the browser does not answer")
            self.buffer += block
        message, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(message)

    def show(self, url, width=1280, height=900, scheme="light"):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1,
                  mobile=width < 600)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.call("Page.navigate", url=url)

    def ask(self, script):
        """The value of a JavaScript expression on the page."""
        result = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            raise RuntimeError(result["exceptionDetails"].get("exception", {}).get("description", script))
        return result["result"].get("value")

    def click(self, selector):
        """Returns before the click, which may lead to another page: one that is left does not answer."""
        self.ask(f"(e => void setTimeout(e.click.bind(e)))(document.querySelector({json.dumps(selector)}))")

    def text(self, selector):
        return self.ask(f"(document.querySelector({json.dumps(selector)}) || {{}}).innerText || ''")

    def picture(self, path, whole_page=True):
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        options = {"captureBeyondViewport": True, "clip": clip} if whole_page else {}
        data = self.call("Page.captureScreenshot", format="png", **options)["data"]
        path.write_bytes(base64.b64decode(data))

    @staticmethod
    def wait_for(what, seconds=PATIENCE):
        """Returns what `what` returns, once that is true and the page stays for it."""
        last = time.monotonic() + seconds
        while True:
            try:
                if found := what():
                    return found
            except Navigated:
                pass
            if time.monotonic() > last:
                raise AssertionError("not in time")
            time.sleep(0.2)
