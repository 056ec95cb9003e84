from __future__ import annotations

import re
from pathlib import Path

import pytest

README = Path(__file__).parent.parent / "README.md"


@pytest.fixture
def example() -> str:
    (code,) = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), flags=re.DOTALL)
    return code


def test_the_example_runs_and_prints_an_honest_line(example: str, capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(example, "README.md", "exec"), {})
    out = capsys.readouterr().out
    assert re.search(
        r"accuracy 0\.\d+ \+- 0\.\d+ \(95 % interval over 1000 episodes, seed 0; chance 0\.200; .*synthetic", out
    )


def test_every_file_in_the_table_is_there() -> None:
    for name in re.findall(r"`([a-z_]+(?:/[a-z_]*|/|)\.py|[a-z]+/)` \|", README.read_text(encoding="utf-8")):
        assert (README.parent / "musicfsl" / name).exists(), name
