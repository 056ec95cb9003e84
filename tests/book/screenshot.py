"""Saves a picture of a page as a browser shows it.

Run ``python tests/book/screenshot.py book/_build/html/intro.html out.png --dark --width 390``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from browser import Browser


def main() -> None:
    """Reads the command line and takes the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url", help="http://..., file://..., or the path of an HTML file")
    parser.add_argument("picture", type=Path, help="PNG file to write")
    parser.add_argument("--dark", action="store_true", help="as a reader who prefers dark pages sees it")
    parser.add_argument("--width", type=int, default=1300, help="of the window in pixels (390 is a phone's)")
    parser.add_argument("--eval", action="append", default=[], help="print the value of a JavaScript expression")
    options = parser.parse_args()
    url = options.url if "://" in options.url else Path(options.url).resolve().as_uri()
    with Browser() as browser, browser.page(url, options.width, options.dark) as page:
        page.screenshot(options.picture)
        for expression in options.eval:
            print(expression, "=", page.evaluate(expression))
        print("external requests", page.external_requests, "failures", page.failures, "exceptions", page.exceptions)


if __name__ == "__main__":
    main()
