"""What every workflow keeps to: pinned actions, time limits, and no right that its job does not need."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

WORKFLOWS = sorted((Path(__file__).resolve().parents[1] / ".github/workflows").glob("*.yml"))
# Rights beyond reading the repository, and what they are for.
RIGHTS = {
    ("book", "notebooks"): {"contents": "write"},  # pushes the branch that Colab opens notebooks from
    ("book", "pages"): {"pages": "write", "id-token": "write"},  # deploys to GitHub Pages
    ("release", "publish"): {"id-token": "write"},  # proves to PyPI which workflow this is
}


def read(path: Path) -> dict[str, Any]:
    workflow: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    workflow["on"] = workflow.pop(True)  # what YAML 1.1 makes of the word "on"
    return workflow


def workflow(name: str) -> dict[str, Any]:
    return next(read(path) for path in WORKFLOWS if path.stem == name)


JOBS = [(path.stem, name, job) for path in WORKFLOWS for name, job in read(path)["jobs"].items()]
each_job = pytest.mark.parametrize(("file", "name", "job"), JOBS, ids=[f"{file}-{name}" for file, name, _ in JOBS])


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflow_names_itself_and_its_triggers_and_does_not_overtake_itself(path: Path) -> None:
    found = read(path)
    assert found["name"] == path.stem
    assert set(found["on"]) <= {"push", "pull_request", "schedule", "workflow_dispatch"}
    assert found["permissions"] == {"contents": "read"}
    assert "github.ref" in found["concurrency"]["group"]


@each_job
def test_job_has_a_time_limit_and_only_the_rights_it_needs(file: str, name: str, job: dict[str, Any]) -> None:
    assert 0 < job["timeout-minutes"] <= 180
    assert job.get("permissions", {}) == RIGHTS.get((file, name), {})


@each_job
def test_actions_are_pinned_and_checkouts_keep_no_credentials(file: str, name: str, job: dict[str, Any]) -> None:
    for step in job["steps"]:
        assert ("uses" in step) != ("run" in step)
        if "uses" in step:
            assert re.fullmatch(r"[\w-]+/[\w-]+@(v\d+(\.\d+)*|release/v\d+|[0-9a-f]{40})", step["uses"])
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False


@each_job
def test_scripts_are_valid_and_hold_no_expression(file: str, name: str, job: dict[str, Any]) -> None:
    for script in (step["run"] for step in job["steps"] if "run" in step):
        # What a stranger writes into a title or branch would become a part of the script.
        assert not re.search(r"\$\{\{(?!\s*matrix\.)", script)
        subprocess.run(["bash", "-n"], input=script, text=True, check=True)


def test_one_version_of_each_action_is_used() -> None:
    used = {step["uses"] for _, _, job in JOBS for step in job["steps"] if "uses" in step}
    names = [use.partition("@")[0] for use in used]
    assert len(names) == len(set(names)), sorted(used)


def test_nothing_is_published_from_a_pull_request_or_another_branch() -> None:
    book = workflow("book")["jobs"]
    assert book["notebooks"]["needs"] == "build"
    condition = book["notebooks"]["if"]
    assert "github.event_name != 'pull_request'" in condition
    assert "github.ref == 'refs/heads/main'" in condition
    # A job is left out with a job that it needs, unless its own condition says otherwise.
    assert "notebooks" in book["pages"]["needs"]
    assert "if" not in book["pages"]
    assert workflow("release")["on"] == {"push": {"tags": ["v*"]}}


def test_what_is_published_was_built_and_checked_before() -> None:
    book = workflow("book")["jobs"]
    scripts = [step.get("run", "") for step in book["build"]["steps"]]
    build = next(i for i, script in enumerate(scripts) if "jupyter-book build -W" in script)
    checks = next(i for i, script in enumerate(scripts) if "-m book" in script)
    uploads = [i for i, step in enumerate(book["build"]["steps"]) if "upload-artifact" in step.get("uses", "")]
    assert build < checks < min(uploads)
    for name, job in (("notebooks", book["notebooks"]), ("book", book["pages"])):
        download = job["steps"][0]
        assert download["uses"].startswith("actions/download-artifact@")
        assert download["with"]["name"] == name

    release = workflow("release")["jobs"]
    steps = [step.get("run", "") for step in release["build"]["steps"]]
    assert [any(task in step for step in steps) for task in ("make test-all", "make lint types", "make build")] == [
        True
    ] * 3
    assert release["publish"]["needs"] == "build"
    assert release["publish"]["environment"]["name"] == "pypi"


@pytest.mark.parametrize(("tag", "passes"), [("v{version}", True), ("v{version}.1", False), ("{version}", False)])
def test_a_release_needs_a_tag_that_names_the_version(tag: str, passes: bool, tmp_path: Path) -> None:
    import musicfsl

    (script,) = [
        s["run"] for s in workflow("release")["jobs"]["build"]["steps"] if "GITHUB_REF_NAME" in s.get("run", "")
    ]
    python = tmp_path / ".venv/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text(f"#!/bin/sh\necho {musicfsl.__version__}\n")
    python.chmod(0o755)
    environment = {"GITHUB_REF_NAME": tag.format(version=musicfsl.__version__), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(["bash", "-e"], input=script, text=True, cwd=tmp_path, env=environment, capture_output=True)
    assert (done.returncode == 0) == passes
    assert ("::error::" in done.stdout) != passes


def test_publishing_the_notebooks_leaves_exactly_the_exported_files(tmp_path: Path) -> None:
    (step,) = [s for s in workflow("book")["jobs"]["notebooks"]["steps"] if "run" in s]
    exported, remote = tmp_path / step["working-directory"], tmp_path / "ada" / "book"
    (exported / "few_shot").mkdir(parents=True)
    (exported / "few_shot/episodes.ipynb").write_text("{}")
    git = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "GITHUB_SHA": "0" * 40}
    subprocess.run(["git", "init", "--quiet", "--bare", remote], check=True, env=git)
    script = re.sub(r'"https://.*"', f'"{remote}"', step["run"])
    assert script != step["run"]
    for _ in range(2):  # the second time over what is there
        subprocess.run(["bash", "-e"], input=script, text=True, cwd=exported, env=git, check=True, capture_output=True)
        subprocess.run(["rm", "-rf", exported / ".git"], check=True)
    listing = ["git", "-C", remote, "ls-tree", "-r", "--name-only", "notebooks"]
    names = subprocess.run(listing, check=True, env=git, capture_output=True, text=True).stdout.split()
    assert names == ["few_shot/episodes.ipynb"]
    history = ["git", "-C", remote, "rev-list", "--count", "notebooks"]
    assert subprocess.run(history, check=True, env=git, capture_output=True, text=True).stdout.strip() == "1"
