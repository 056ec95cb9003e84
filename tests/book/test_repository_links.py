"""book_repository: a fork's book links to the fork, and to nothing where no repository is known."""

from __future__ import annotations

import subprocess
from pathlib import Path

import book_repository
import pytest
from sphinx.config import Config


@pytest.fixture(autouse=True)
def no_workflow(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("GITHUB_REPOSITORY", "GITHUB_REF", "GITHUB_REF_NAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(book_repository, "ROOT", tmp_path)


def set_origin(folder: Path, url: str) -> None:
    subprocess.run(["git", "init", "--quiet", str(folder)], check=True)
    subprocess.run(["git", "-C", str(folder), "remote", "add", "origin", url], check=True)


def theme_options() -> tuple[dict, str]:
    config = Config(overrides={})
    config.add("html_baseurl", "", "html", ())
    config.add("html_theme_options", {}, "html", ())
    config.html_theme_options = {"launch_buttons": {"colab_url": "x"}, "repository_url": "of Jupyter Book"}
    book_repository._set_links(None, config)
    return config.html_theme_options, config.html_baseurl


def test_without_a_repository_nothing_links_to_one() -> None:
    assert book_repository.repository() is None
    assert book_repository.pages_url() is None
    options, base = theme_options()
    assert options["launch_buttons"] == {}
    assert "repository_url" not in options
    assert not any(value for key, value in options.items() if key.startswith("use_"))
    assert not base


@pytest.mark.parametrize(
    "url",
    [
        "https://github.com/Someone/my.fork.git",
        "https://github.com/Someone/my.fork",
        "https://token@github.com/Someone/my.fork/",
        "git@github.com:Someone/my.fork.git",
        "ssh://git@github.com/Someone/my.fork.git",
    ],
)
def test_the_repository_is_the_remote_named_origin(tmp_path: Path, url: str) -> None:
    set_origin(tmp_path, url)
    assert book_repository.repository() == "Someone/my.fork"
    assert book_repository.pages_url() == "https://someone.github.io/my.fork/"
    options, base = theme_options()
    assert options["repository_url"] == "https://github.com/Someone/my.fork"
    assert options["path_to_docs"] == "book"
    assert options["launch_buttons"] == {"colab_url": "x"}
    assert base == "https://someone.github.io/my.fork/"


@pytest.mark.parametrize("url", ["https://gitlab.com/a/b.git", "https://example.org/github.com/a/b", "../elsewhere"])
def test_a_remote_elsewhere_is_no_github_repository(tmp_path: Path, url: str) -> None:
    set_origin(tmp_path, url)
    assert book_repository.repository() is None


def test_a_workflow_names_its_repository_and_branch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_origin(tmp_path, "https://github.com/someone/else")
    monkeypatch.setenv("GITHUB_REPOSITORY", "a/b")
    monkeypatch.setenv("GITHUB_REF", "refs/heads/draft")
    monkeypatch.setenv("GITHUB_REF_NAME", "draft")
    assert (book_repository.repository(), book_repository.branch()) == ("a/b", "draft")
    monkeypatch.setenv("GITHUB_REF", "refs/pull/1/merge")
    monkeypatch.setenv("GITHUB_REF_NAME", "1/merge")
    assert book_repository.branch() == "main"
    monkeypatch.setenv("GITHUB_REPOSITORY", "Someone/someone.github.io")
    assert book_repository.pages_url() == "https://someone.github.io/"


def test_links_at_the_root_lead_to_the_books_settings() -> None:
    root = Path(__file__).parents[2]
    for name in ("_config.yml", "_toc.yml"):
        assert (root / "book" / name).is_file()
        link = root / name
        if link.is_symlink():  # a checkout on a system without links holds the path as text
            assert link.resolve() == root / "book" / name
        else:
            assert link.read_text().strip() == f"book/{name}"
