from __future__ import annotations

import os
import subprocess
import sys

import pytest

_USE = "from musicfsl._progress import progress_bar; print(sum(progress_bar([1, 2], show={show}, desc='counting')))"


@pytest.mark.parametrize(("show", "variable", "drawn"), [(True, None, True), (False, None, False), (True, "1", False)])
def test_a_bar_is_drawn_where_asked_for_and_not_forbidden(show: bool, variable: str | None, drawn: bool) -> None:
    # tqdm reads the variable once, when it is imported
    environment = {name: value for name, value in os.environ.items() if name != "TQDM_DISABLE"}
    if variable is not None:
        environment["TQDM_DISABLE"] = variable
    done = subprocess.run(
        [sys.executable, "-c", _USE.format(show=show)], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == "3\n"
    assert ("counting" in done.stderr) == drawn
