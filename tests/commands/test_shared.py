from __future__ import annotations

import gc
import subprocess
import sys

from musicfsl.commands.shared import quick_imports

_PROGRAM = """
import gc
from musicfsl.commands.shared import quick_imports
with quick_imports():
    assert not gc.isenabled()
    import torch
assert gc.isenabled() and gc.get_freeze_count() > 10_000
frozen = gc.get_freeze_count()
with quick_imports():
    assert gc.isenabled()
assert gc.get_freeze_count() == frozen
"""


def test_nothing_is_collected_while_torch_is_imported_the_first_time() -> None:
    done = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_program_that_has_torch_stays_as_it_is() -> None:
    import torch  # noqa: F401

    before = gc.get_freeze_count()
    with quick_imports():
        assert gc.isenabled()
    assert gc.isenabled() and gc.get_freeze_count() == before
