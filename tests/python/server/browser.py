"""Chromium without a window, driven by its own protocol over a WebSocket."""

from __future__ import annotations

import base64
import contextlib
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from websockets.sync.client import ClientConnection, connect

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
# Nothing but this machine can be reached, so that a page which needs anything from elsewhere shows it.
_FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--autoplay-policy=no-user-gesture-required",
    "--window-size=1100,800",
    "--remote-debugging-port=0",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1 , EXCLUDE localhost",
]


NAVIGATED = "Inspected target navigated or closed"


class NavigatedError(Exception):
    """The page that was asked gave way to another before it answered."""


class Tab:
    """A page, what it complained of, and what it asked for."""

    def __init__(self, socket: ClientConnection) -> None:
        self.complaints: list[str] = []
        self.asked: list[str] = []
        self._socket = socket
        self._number = 0
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._do(f"{domain}.enable")

    def open(self, url: str) -> None:
        self._do("Page.navigate", url=url)
        self.wait_for("document.readyState === 'complete'")

    def value(self, script: str) -> Any:
        """What an expression of JavaScript is worth, in the page."""
        answer = self._do("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def wait_for(self, script: str, seconds: float = 60.0) -> None:
        deadline = time.monotonic() + seconds
        while not self._holds(script):
            assert time.monotonic() < deadline, f"{script} did not come true: {self.complaints}"
            time.sleep(0.05)

    def _holds(self, script: str) -> bool:
        try:
            return bool(self.value(script))
        except NavigatedError:
            return False  # the page that comes is asked next

    def resize(self, width: int) -> None:
        """Show the page as wide as this many pixels, as a telephone does."""
        self._do("Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=True)

    def darken(self) -> None:
        """Ask pages for dark colours, as a system that is set so does."""
        self._do("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])

    def picture(self) -> bytes:
        """The page as PNG."""
        return base64.b64decode(self._do("Page.captureScreenshot", format="png")["data"])

    def _do(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._socket.recv(timeout=60))
            if message.get("id") == self._number:
                if message.get("error", {}).get("message") == NAVIGATED:
                    raise NavigatedError(method)
                assert "error" not in message, message
                result: dict[str, Any] = message["result"]
                return result
            self._hear(message)

    def _hear(self, event: dict[str, Any]) -> None:
        told = event.get("params", {})
        if event["method"] == "Network.requestWillBeSent":
            self.asked.append(told["request"]["url"])
        elif event["method"] == "Runtime.exceptionThrown":
            self.complaints.append(str(told["exceptionDetails"].get("exception", told)))
        elif event["method"] == "Log.entryAdded" and told["entry"]["level"] == "error":
            self.complaints.append(f"{told['entry']['text']} {told['entry'].get('url', '')}")


@contextmanager
def browsing() -> Iterator[Tab]:
    """A tab of a browser of its own."""
    assert CHROMIUM is not None
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        process = subprocess.Popen(
            [CHROMIUM, *_FLAGS, f"--user-data-dir={home}", "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            port, deadline = Path(home, "DevToolsActivePort"), time.monotonic() + 60
            pages: list[dict[str, Any]] = []
            while not pages:
                assert time.monotonic() < deadline, "chromium does not start"
                time.sleep(0.1)
                with contextlib.suppress(OSError, httpx.TransportError, IndexError):
                    number = port.read_text(encoding="utf8").splitlines()[0]
                    listed = httpx.get(f"http://127.0.0.1:{number}/json/list").json()
                    pages = [one for one in listed if one["type"] == "page"]
            with connect(pages[0]["webSocketDebuggerUrl"], max_size=64 << 20) as socket:
                yield Tab(socket)
        finally:
            process.terminate()
            process.wait()
