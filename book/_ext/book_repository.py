"""Where this checkout lives on GitHub, so that the book of a fork links to the fork.

With no GitHub repository known, the book has no launch button and no link to a repository: none is better
than a wrong one (Jupyter Book would link to its own).
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.config import Config

__all__ = ["ROOT", "branch", "pages_url", "repository", "setup"]

#: Folder of the checkout, which holds ``book/`` and ``musicfsl/``.
ROOT = Path(__file__).resolve().parents[2]

_OWNER_AND_NAME = r"[\w.-]+/[\w.-]+"


def repository() -> str | None:
    """``owner/name`` on GitHub: of the workflow that builds the book, else of the git remote ``origin``, else None."""
    named = os.environ.get("GITHUB_REPOSITORY", "")
    if re.fullmatch(_OWNER_AND_NAME, named):
        return named
    remote = re.fullmatch(
        rf"(?:https://(?:[^@/]+@)?|ssh://git@|git@)github\.com[:/]({_OWNER_AND_NAME}?)(?:\.git)?/?", _origin()
    )
    return remote[1] if remote else None


def branch() -> str:
    """The branch that links lead to: the one that a workflow builds, else ``main``."""
    of_a_branch = os.environ.get("GITHUB_REF", "").startswith("refs/heads/")
    return os.environ.get("GITHUB_REF_NAME", "main") if of_a_branch else "main"


def pages_url() -> str | None:
    """Address at which GitHub Pages shows the book, ending in a slash; None where no repository is known."""
    known = repository()
    if known is None:
        return None
    owner, name = known.split("/")
    site = f"{owner.lower()}.github.io"
    return f"https://{site}/" if name.lower() == site else f"https://{site}/{name}/"


def _origin() -> str:
    try:
        answer = subprocess.run(
            ["git", "-C", str(ROOT), "remote", "get-url", "origin"], capture_output=True, text=True, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return answer.stdout.strip() if answer.returncode == 0 else ""


def _set_links(app: Sphinx, config: Config) -> None:
    known = repository()
    options: dict[str, Any] = dict(config.html_theme_options)
    if known is None:
        options["launch_buttons"] = {}
        options.pop("repository_url", None)
    else:
        options |= {
            "repository_url": f"https://github.com/{known}",
            "repository_branch": branch(),
            "path_to_docs": "book",
        }
        config.html_baseurl = config.html_baseurl or pages_url()
    for button in ("use_repository_button", "use_issues_button", "use_source_button"):
        options[button] = known is not None
    config.html_theme_options = options


def setup(app: Sphinx) -> dict[str, Any]:
    """Gives the theme the repository's address before it reads its options."""
    app.connect("config-inited", _set_links, priority=100)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
