"""book_dependencies: which modules some code depends on, compared with what Python really imports."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from book_dependencies import Package

ROOT = Path(__file__).parents[2]

FILES = {
    "__init__.py": """
import importlib
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    from shop.unused import Unused
_MODULE_OF = {"Apple": "fruit", "price": "money"}
def __getattr__(name):
    return getattr(importlib.import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
""",
    "__main__.py": "from shop.cli import main",
    "cli.py": "def main():\n    from shop import money",
    "errors.py": "",
    "fruit/__init__.py": '_MODULE_OF = {"Apple": "apple"}',
    "fruit/apple.py": "from ..errors import problem\nclass Apple: ...",
    "fruit/pear.py": "from . import apple",
    "money.py": "from pathlib import Path\nPath('settings.yaml')\ndef price(): ...",
    "plugins.py": 'TABLE = ["shop.fruit.pear:Pear", "not shop.cli", "shop.cli is not meant"]',
    "unused.py": "",
    "settings.yaml": "class_path: shop.plugins.Loader",
}
SHOP_MONEY = {"shop", "shop.money", "settings.yaml", "shop.plugins", "shop.fruit", "shop.fruit.pear"} | {
    "shop.fruit.apple",
    "shop.errors",
}


@pytest.fixture
def shop(tmp_path: Path) -> Package:
    for name, text in FILES.items():
        path = tmp_path / "shop" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Package(tmp_path / "shop")


APPLE = {"shop", "shop.fruit", "shop.fruit.apple", "shop.errors"}


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("import os", set()),
        ("x = 'shop'", set()),
        ("import shop", {"shop"}),
        ("import shop.errors", {"shop", "shop.errors"}),
        ("from shop import errors", {"shop", "shop.errors"}),
        ("def later():\n    from shop.errors import problem", {"shop", "shop.errors"}),
        ("from shop import Apple", APPLE),
        ("import shop\nshop.Apple()", APPLE),
        ("import shop as s\ndef f():\n    return s.fruit.Apple", APPLE),
        ("from shop import fruit\nfruit.Apple", APPLE),
        ("import shop.fruit as f\nf.apple", APPLE),
        ("from shop.fruit.pear import Pear", APPLE | {"shop.fruit.pear"}),
        ("from shop import price", SHOP_MONEY),
        ("import shop\ngetattr(shop, 'Apple')", SHOP_MONEY),
        ("from shop import *", SHOP_MONEY),
        ("open_by_name('shop.fruit.apple:Apple')", APPLE),
        ("get_ipython().system('shop sell apples')", SHOP_MONEY | {"shop.__main__", "shop.cli"}),
        ("run([sys.executable, '-m', 'shop'])", SHOP_MONEY | {"shop.__main__", "shop.cli"}),
    ],
)
def test_what_code_depends_on(shop: Package, code: str, expected: set[str]) -> None:
    assert shop.used_by(code) == expected


def test_the_fingerprint_changes_with_the_content_of_what_is_used_and_nothing_else(shop: Package) -> None:
    used = shop.used_by("from shop import price")
    before = shop.fingerprint(used)
    shop.files["shop.cli"].write_text("changed")
    assert shop.fingerprint(used) == before
    for name in ("shop.errors", "settings.yaml"):
        (shop.files.get(name) or shop.data_files[name]).write_text("changed")
        assert shop.fingerprint(used) != before
        before = shop.fingerprint(used)


@pytest.mark.parametrize(
    "code",
    [
        "import musicfsl\nfrom musicfsl.plots import plot_episode\nmusicfsl.EpisodeDataset\n"
        "from musicfsl.datasets.registry import _import_class, dataset_info\n_import_class(dataset_info('synthetic'))",
        pytest.param("from musicfsl.training import EpisodicLearner", marks=pytest.mark.slow),  # imports Lightning
    ],
)
def test_no_module_of_the_library_that_is_imported_is_missed(code: str) -> None:
    show = "\nimport sys; print(*(name for name in sys.modules if name.partition('.')[0] == 'musicfsl'))"
    answer = subprocess.run([sys.executable, "-c", code + show], cwd=ROOT, capture_output=True, text=True, check=True)
    imported = set(answer.stdout.split())
    assert "musicfsl" in imported
    assert imported <= Package(ROOT / "musicfsl").used_by(code)


def test_the_command_line_concerns_no_chapter_that_does_not_call_it() -> None:
    package = Package(ROOT / "musicfsl")
    assert "musicfsl.cli" in package.files
    everything_public = package.used_by("from musicfsl import *\nfrom musicfsl import plots, training")
    assert {"musicfsl.cli", "musicfsl.__main__"}.isdisjoint(everything_public)
