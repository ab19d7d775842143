"""A real browser for the tests of pages: Chromium without a window, spoken to through pipes.

The DevTools protocol over `--remote-debugging-pipe`: JSON that ends in NUL, on the descriptors 3
and 4, so that nothing but the standard library is needed. Whatever a page writes to the console or
asks of the network is kept.
"""

from __future__ import annotations

import base64
import json
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage", "--disable-extensions", "--hide-scrollbars", "--mute-audio",
    "--remote-debugging-pipe",
)
# The browser expects the pipes as descriptors 3 and 4.
_LAUNCH = """
import fcntl, os, sys
pipes = [fcntl.fcntl(int(fd), fcntl.F_DUPFD, 10) for fd in sys.argv[1:3]]
os.dup2(pipes[0], 3)
os.dup2(pipes[1], 4)
os.execvp(sys.argv[3], sys.argv[3:])
"""
_KEYS = {" ": ("Space", 32), "ArrowLeft": ("ArrowLeft", 37), "ArrowRight": ("ArrowRight", 39),
         "ArrowDown": ("ArrowDown", 40), "Home": ("Home", 36), "End": ("End", 35),
         "Enter": ("Enter", 13), "Escape": ("Escape", 27), "Tab": ("Tab", 9)}


def executable() -> str | None:
    """Chromium, by any of its names."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    return next(filter(None, map(shutil.which, names)), None)


class Browser:
    """One browser with one page, used again for each file that is opened."""

    def __init__(self, program: str) -> None:
        self._profile = tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True)
        from_us, self._to = os.pipe()
        self._from, to_us = os.pipe()
        self._process = subprocess.Popen(
            [sys.executable, "-c", _LAUNCH, str(from_us), str(to_us), program, *_FLAGS,
             f"--user-data-dir={self._profile.name}", "about:blank"],
            pass_fds=(from_us, to_us), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        os.close(from_us)
        os.close(to_us)
        self._answers: queue.Queue[dict[str, Any] | None] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        self._count = 0
        self._session: str | None = None
        self.console: list[str] = []
        self.requests: list[str] = []
        self._loaded = False
        try:
            self._attach()
        except (OSError, TimeoutError):
            self.close()
            raise

    def _attach(self) -> None:
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=target,
                                  flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")

    def _read(self) -> None:
        left = b""
        while True:
            try:
                piece = os.read(self._from, 1 << 16)
            except OSError:
                piece = b""
            if not piece:
                self._answers.put(None)
                return
            *whole, left = (left + piece).split(b"\0")
            for message in whole:
                self._answers.put(json.loads(message))

    def _next(self, seconds: float) -> None:
        """Take in one message."""
        try:
            message = self._answers.get(timeout=seconds)
        except queue.Empty:
            raise TimeoutError("the browser does not answer") from None
        if message is None:
            raise ConnectionError("the browser has ended")
        self._note(message)

    def _note(self, message: dict[str, Any]) -> None:
        about = message.get("params", {})
        match message.get("method"):
            case "Runtime.exceptionThrown":
                details = about["exceptionDetails"]
                what = details.get("exception", {}).get("description", details["text"])
                self.console.append(f"exception: {what}")
            case "Runtime.consoleAPICalled":
                self.console.append(f"{about['type']}: {about['args']}")
            case "Log.entryAdded":
                self.console.append(f"{about['entry']['level']}: {about['entry']['text']}")
            case "Network.requestWillBeSent":
                self.requests.append(about["request"]["url"])
            case "Page.loadEventFired":
                self._loaded = True
            case None:
                self._result = message

    def send(self, method: str, seconds: float = 60.0, **params: Any) -> dict[str, Any]:
        """Call a method of the protocol, and return its result."""
        self._count += 1
        call: dict[str, Any] = {"id": self._count, "method": method, "params": params}
        if self._session is not None:
            call["sessionId"] = self._session
        os.write(self._to, json.dumps(call).encode() + b"\0")
        self._result: dict[str, Any] = {}
        while self._result.get("id") != self._count:
            self._next(seconds)
        if "error" in self._result:
            raise RuntimeError(f"{method}: {self._result['error']}")
        return self._result["result"]

    def open(
        self, path: Path, *, size: tuple[int, int] = (1280, 800), dark: bool = False,
        scripts: bool = True,
    ) -> None:
        """Show a file, and wait until it is loaded."""
        self.resize(*size)
        self.prefer(dark=dark)
        self.send("Emulation.setScriptExecutionDisabled", value=not scripts)
        self.console.clear()
        self.requests.clear()
        self._loaded = False
        self.send("Page.navigate", url=path.resolve().as_uri())
        while not self._loaded:
            self._next(60.0)

    def resize(self, width: int, height: int) -> None:
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height,
                  deviceScaleFactor=1, mobile=False)

    def prefer(self, *, dark: bool) -> None:
        self.send("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
            {"name": "prefers-reduced-motion", "value": "reduce"},
        ])

    def run(self, expression: str) -> Any:
        """The value of an expression of JavaScript in the page."""
        done = self.send("Runtime.evaluate", expression=expression, returnByValue=True,
                         awaitPromise=True)
        if "exceptionDetails" in done:
            raise RuntimeError(done["exceptionDetails"].get("exception", {}).get("description"))
        return done["result"].get("value")

    def contrast(self) -> Any:
        """`poor`: the text on the screen that fails WCAG AA; `count`: how much was looked at."""
        return self.run(Path(__file__).with_name("contrast.js").read_text("utf-8"))

    def press(self, *keys: str, shift: bool = False) -> None:
        """Press keys as a person does: whatever has the focus receives them."""
        for key in keys:
            code, number = _KEYS.get(key, (f"Key{key.upper()}", ord(key[0].upper())))
            printed = " " if key == " " else "\r" if key == "Enter" else key
            text = {"text": printed} if len(key) == 1 or key == "Enter" else {}
            about = {"key": key, "code": code, "windowsVirtualKeyCode": number,
                     "modifiers": 8 if shift else 0}
            self.send("Input.dispatchKeyEvent", type="keyDown", **about, **text)
            self.send("Input.dispatchKeyEvent", type="keyUp", **about)

    def type(self, text: str) -> None:
        self.send("Input.insertText", text=text)

    def click(self, selector: str) -> None:
        """Click on the middle of the first element that a CSS selector finds."""
        x, y = self.run(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)}); "
            "const r = e.getBoundingClientRect(); "
            "return [r.x + r.width / 2, r.y + r.height / 2]; })()")
        for kind in ("mousePressed", "mouseReleased"):
            self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def wait_for(self, expression: str, seconds: float = 10.0) -> None:
        """Until the expression holds."""
        end = time.monotonic() + seconds
        while not self.run(expression):
            if time.monotonic() > end:
                raise TimeoutError(f"never held: {expression}")
            time.sleep(0.02)

    def screenshot(self, path: Path) -> None:
        shot = self.send("Page.captureScreenshot", format="png")["data"]
        path.write_bytes(base64.b64decode(shot))

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(10)
        os.close(self._to)
        os.close(self._from)
        self._profile.cleanup()
