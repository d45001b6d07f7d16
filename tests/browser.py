"""A real browser for tests: Chromium without a window, driven through its debugging protocol with tornado."""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from tornado.httpclient import HTTPRequest
from tornado.websocket import websocket_connect

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_START_S, _REPLY_S = 60, 120


def chromium() -> str | None:
    """Path of the first Chromium there is."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Browser:
    """One page. Use as a context manager; `errors` gathers uncaught exceptions and console errors."""

    def __enter__(self) -> Browser:
        self._profile = tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True)
        self._process = subprocess.Popen(
            [chromium() or "chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0",
             "--no-first-run", "--disable-extensions", "--hide-scrollbars", "--disable-dev-shm-usage",
             f"--user-data-dir={self._profile.name}", "about:blank"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self.errors: list[str] = []
        self.requests: list[str] = []
        self._number = 0
        self._loop = asyncio.new_event_loop()
        try:
            self._loop.run_until_complete(self._connect())
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(30)
        self._loop.close()
        self._profile.cleanup()

    def open(
        self, place: Path | str, width: int = 1280, height: int = 900, dark: bool = False, mobile: bool = False
    ) -> None:
        """Load a file or an address and wait until it is complete."""
        self.errors.clear()
        self.requests.clear()
        scale = 2 if mobile else 1
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale,
                  mobile=mobile)  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        if isinstance(place, str):  # of which another fragment alone would load nothing
            self.call("Page.navigate", url="about:blank")
        url = place.absolute().as_uri() if isinstance(place, Path) else place
        self.call("Page.navigate", url=url)
        self.wait(f"document.readyState === 'complete' && location.protocol === '{url.partition(':')[0]}:'")

    def press(self, key: str, code: int = 0, modifiers: int = 0) -> None:
        """One key, down and up: a character, or a name such as Enter with its key code."""
        text = {"text": key} if len(key) == 1 and not modifiers else {}
        known = {"key": key, "windowsVirtualKeyCode": code or ord(key[0].upper()), "modifiers": modifiers}
        self.call("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", **known, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", **known)

    def run(self, script: str) -> Any:
        """Value of a JavaScript expression; promises are awaited. Raises AssertionError when it throws."""
        reply = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in reply, reply["exceptionDetails"]
        return reply["result"].get("value")

    def wait(self, condition: str, seconds: float = 60) -> None:
        """Until an expression is true."""
        end = time.monotonic() + seconds
        while not self.run(f"Boolean({condition})"):
            assert time.monotonic() < end, f"{condition} is not true after {seconds} s"
            time.sleep(0.05)

    def screenshot(self, path: Path) -> None:
        """What is in view, as PNG."""
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot")["data"]))

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command of the protocol."""
        return self._loop.run_until_complete(asyncio.wait_for(self._call(method, parameters), _REPLY_S))

    async def _connect(self) -> None:
        port_file = Path(self._profile.name) / "DevToolsActivePort"
        end = time.monotonic() + _START_S
        while not (port_file.exists() and len(port_file.read_text().split()) == 2):
            assert time.monotonic() < end, "Chromium did not start"
            await asyncio.sleep(0.05)
        port, path = port_file.read_text().split()
        self._socket = await websocket_connect(HTTPRequest(f"ws://127.0.0.1:{port}{path}"), max_message_size=1 << 28)
        self._session = ""
        target = await self._call("Target.createTarget", {"url": "about:blank"})
        attached = await self._call("Target.attachToTarget", {"targetId": target["targetId"], "flatten": True})
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            await self._call(f"{domain}.enable", {})

    async def _call(self, method: str, parameters: dict[str, Any]) -> dict[str, Any]:
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        await self._socket.write_message(json.dumps(message))
        while True:
            text = await self._socket.read_message()
            assert text is not None, "Chromium has gone"
            reply = json.loads(text)
            if reply.get("id") == message["id"]:
                assert "error" not in reply, f"{method}: {reply['error']}"
                return reply["result"]
            self._heard(reply)

    def _heard(self, event: dict[str, Any]) -> None:
        content = event.get("params", {})
        if event.get("method") == "Runtime.exceptionThrown":
            self.errors.append(json.dumps(content["exceptionDetails"])[:500])
        elif event.get("method") == "Runtime.consoleAPICalled" and content["type"] in ("error", "warning", "assert"):
            self.errors.append(json.dumps(content["args"])[:500])
        elif event.get("method") == "Log.entryAdded" and content["entry"]["level"] == "error":
            self.errors.append(content["entry"]["text"][:500])
        elif event.get("method") == "Network.requestWillBeSent":
            self.requests.append(content["request"]["url"][:80])
