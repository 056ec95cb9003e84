"""Pages in a real, headless Chromium: what they request, raise and look like."""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import choreographer

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")

# Everything that a page does by itself is over: loaded, laid out, formulas set.
_SETTLED = """(async () => {
  if (document.readyState !== 'complete') return false;
  await document.fonts.ready;
  if (window.MathJax && MathJax.startup) await MathJax.startup.promise;
  return true;
})()"""


def find_chromium() -> str | None:
    """Path of a Chromium or Chrome, or None where there is none."""
    return next(filter(None, map(shutil.which, CHROMIUM_NAMES)), None)


class Page:
    """One page in a tab.

    Attributes:
        requests: addresses that the page asked for, in order.
        failures: requests that failed.
        exceptions: JavaScript exceptions that nobody caught, and errors written to the console.
    """

    def __init__(self, browser: Browser, tab: choreographer.Tab) -> None:
        self._browser = browser
        self._tab = tab
        self._width = 0
        self.requests: list[str] = []
        self.failures: list[str] = []
        self.exceptions: list[str] = []
        for event, note in {
            "Network.requestWillBeSent": lambda p: self.requests.append(p["request"]["url"]),
            "Network.loadingFailed": lambda p: p.get("canceled") or self.failures.append(p["errorText"]),
            "Runtime.exceptionThrown": lambda p: self.exceptions.append(_text(p["exceptionDetails"])),
            "Runtime.consoleAPICalled": lambda p: p["type"] == "error" and self.exceptions.append(str(p["args"])),
        }.items():
            self._subscribe(event, note)
        for domain in ("Network", "Runtime", "Page"):
            self.send(f"{domain}.enable")

    @property
    def external_requests(self) -> list[str]:
        """Requests that leave this machine."""
        local = ("file:", "data:", "blob:", "about:", "chrome:", "http://127.0.0.1:", "http://localhost:")
        return [url for url in self.requests if not url.startswith(local)]

    def send(self, command: str, **parameters: Any) -> dict[str, Any]:
        """Sends a command of the DevTools protocol."""
        answer = self._browser.run(self._tab.send_command(command, params=parameters))
        if "error" in answer:
            raise RuntimeError(f"{command}: {answer['error']}")
        result: dict[str, Any] = answer["result"]
        return result

    def go(self, url: str, timeout: float = 30) -> None:
        """Opens an address and waits until the page has settled."""
        self.send("Page.navigate", url=url)
        self.wait(f"location.href.split('#')[0] === {json.dumps(url.split('#')[0])} && {_SETTLED}", timeout)

    def evaluate(self, expression: str) -> Any:
        """Value of a JavaScript expression; a promise is waited for."""
        answer = self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{expression}: {_text(answer['exceptionDetails'])}")
        return answer["result"].get("value")

    def wait(self, expression: str, timeout: float = 10) -> None:
        """Waits until an expression is true."""
        end = time.monotonic() + timeout
        while not self.evaluate(expression):
            if time.monotonic() > end:
                raise TimeoutError(f"not true within {timeout} s: {expression}")
            self._browser.run(asyncio.sleep(0.05))

    def scroll_through(self) -> None:
        """Scrolls to the end, screen by screen, as a reader would."""
        self.evaluate("""(async () => {
          const pause = () => new Promise((done) => setTimeout(done, 60));
          for (let y = 0; y < document.documentElement.scrollHeight; y += innerHeight * 0.8) {
            scrollTo({ top: y, behavior: 'instant' });
            await pause();
          }
        })()""")

    def resize(self, width: int, height: int = 900) -> None:
        """Sets the size of the window in CSS pixels."""
        self._width = width
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def prefer_dark(self, dark: bool) -> None:
        """Asks for dark or light pages, as the reader's system would."""
        feature = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", features=[feature])

    def screenshot(self, path: Path, max_height: int = 12000) -> None:
        """Saves a picture of the whole page."""
        self.scroll_through()
        height = self.evaluate("document.documentElement.scrollHeight")
        self.resize(self._width, min(max_height, int(height)))
        self.evaluate("scrollTo({ top: 0, behavior: 'instant' })")
        self._browser.run(asyncio.sleep(1))  # transitions
        path.write_bytes(base64.b64decode(self.send("Page.captureScreenshot", format="png")["data"]))

    def _subscribe(self, event: str, note: Any) -> None:
        async def on_event(message: dict[str, Any]) -> None:
            note(message["params"])

        self._tab.subscribe(event, on_event, repeating=True)


class Browser:
    """A headless browser; ``with Browser() as browser: ...`` starts and ends it."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._browser = choreographer.Browser(headless=True, path=find_chromium(), enable_sandbox=False)

    def __enter__(self) -> Browser:
        self.run(self._browser.open())
        return self

    def __exit__(self, *_: object) -> None:
        self.run(self._browser.close())
        self._loop.close()

    def run(self, coroutine: Any) -> Any:
        """Runs something asynchronous to its end."""
        return self._loop.run_until_complete(coroutine)

    @contextmanager
    def page(self, url: str, width: int = 1300, dark: bool = False) -> Iterator[Page]:
        """Opens a page in a tab of its own."""
        tab = self.run(self._browser.create_tab("about:blank"))
        try:
            page = Page(self, tab)
            page.prefer_dark(dark)
            page.resize(width)
            page.go(url)
            yield page
        finally:
            self.run(tab.close())


def _text(details: dict[str, Any]) -> str:
    return str(details.get("exception", {}).get("description") or details.get("text"))
