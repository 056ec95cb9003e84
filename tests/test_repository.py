"""What pyproject.toml, requirements.txt, the Makefile and the workflows say about one another."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[1]
TRIO = {"torch": "2.11.0", "torchaudio": "2.11.0", "torchvision": "0.26.0"}


def project() -> dict[str, Any]:
    with (ROOT / "pyproject.toml").open("rb") as file:
        return tomllib.load(file)


def supported_pythons() -> list[str]:
    classifiers = project()["project"]["classifiers"]
    return [
        c.rpartition(" :: ")[2] for c in classifiers if re.fullmatch(r"Programming Language :: Python :: \d\.\d+", c)
    ]


def pins(python: str) -> dict[str, Version]:
    """Versions that requirements.txt installs on Linux under one Python."""
    environment = {
        "python_version": python,
        "python_full_version": f"{python}.9",
        "sys_platform": "linux",
        "os_name": "posix",
    }
    environment |= {"platform_machine": "x86_64", "platform_python_implementation": "CPython"}
    found: dict[str, Version] = {}
    for line in (ROOT / "requirements.txt").read_text().splitlines():
        if line and line[0] not in " #":
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate(environment):
                (specifier,) = requirement.specifier
                assert specifier.operator == "=="
                found[canonicalize_name(requirement.name)] = Version(specifier.version)
    return found


def tracked_files() -> list[Path]:
    try:
        listing = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT, capture_output=True, check=True, text=True,
        )  # fmt: skip
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs a git checkout")
    return [ROOT / name for name in listing.stdout.split("\0") if name and (ROOT / name).is_file()]


@pytest.mark.parametrize("python", supported_pythons())
def test_pins_satisfy_the_ranges_of_the_project_and_all_its_extras(python: str) -> None:
    table = project()["project"]
    assert python in SpecifierSet(table["requires-python"])
    pinned = pins(python)
    assert {name: str(pinned[name]) for name in TRIO} == TRIO
    for line in [
        *table["dependencies"],
        *(line for extra in table["optional-dependencies"].values() for line in extra),
    ]:
        wanted = Requirement(line)
        if wanted.name == "musicfsl" or (wanted.marker and not wanted.marker.evaluate({"python_version": python})):
            continue
        assert canonicalize_name(wanted.name) in pinned, f"{wanted} is not pinned; run make lock"
        assert wanted.specifier.contains(pinned[canonicalize_name(wanted.name)]), f"{wanted}; run make lock"


def test_pins_obey_the_constraints() -> None:
    lines = (line for line in (ROOT / "constraints.txt").read_text().splitlines() if line and line[0] != "#")
    constraints = {r.name: r.specifier for r in map(Requirement, lines)}
    assert constraints.keys() >= TRIO.keys()
    for python in supported_pythons():
        assert all(specifier.contains(pins(python)[name]) for name, specifier in constraints.items())


def test_every_extra_that_is_named_exists() -> None:
    extras = project()["project"]["optional-dependencies"]
    sources = [path for folder in ("musicfsl", "benchmarks") for path in (ROOT / folder).rglob("*.py")]
    sources += [ROOT / "pyproject.toml", *ROOT.glob("*.md")]
    named = set()
    for path in sources:
        text = path.read_text(encoding="utf-8")
        named |= {name for found in re.findall(r"musicfsl\[([\w, ]+)\]", text) for name in re.split(r",\s*", found)}
        named |= set(re.findall(r"import_extra\([^)]*?extra=\"(\w+)\"", text))
    assert "plots" in named
    assert named <= extras.keys()


def test_workflows_run_the_oldest_and_newest_python_and_the_oldest_torch() -> None:
    workflow = yaml.safe_load((ROOT / ".github/workflows/tests.yml").read_text())
    pythons = supported_pythons()
    matrix = workflow["jobs"]["tests"]["strategy"]["matrix"]
    assert matrix["python"] == [pythons[0], pythons[-1]]
    assert {system.partition("-")[0] for system in matrix["os"]} == {"ubuntu", "macos"}
    torch = next(r for r in map(Requirement, project()["project"]["dependencies"]) if r.name == "torch")
    (floor,) = [s.version for s in torch.specifier if s.operator == ">="]
    commands = " ".join(step.get("run", "") for step in workflow["jobs"]["oldest-torch"]["steps"])
    assert f"torch=={floor}.*" in commands


def test_workflows_cannot_write_to_the_repository() -> None:
    for path in (ROOT / ".github/workflows").glob("*.yml"):
        assert yaml.safe_load(path.read_text())["permissions"] == {"contents": "read"}, path.name


def test_the_wheel_is_typed_and_holds_configurations_and_weights() -> None:
    packages = project()["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    names = {path.relative_to(ROOT).as_posix() for path in tracked_files()}
    assert packages == ["musicfsl"]
    assert {"musicfsl/py.typed", "musicfsl/configs/fit.yaml", "musicfsl/weights/musicfsl-small.safetensors"} <= names


def test_documents_and_workflows_name_existing_tasks() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):.*## ", makefile, flags=re.MULTILINE))
    phony = re.search(r"^\.PHONY: (.*)$", makefile, flags=re.MULTILINE)
    assert phony is not None
    assert targets == set(phony[1].split())
    for path in [*ROOT.glob("*.md"), *(ROOT / ".github").rglob("*.yml"), *(ROOT / ".github").rglob("*.md")]:
        for line in re.findall(r"(?:^\s*|`|run: )make ((?:[a-z-]+ ?)+)", path.read_text(), flags=re.MULTILINE):
            unknown = set(line.split()) - targets
            assert not unknown, f"{path.name} names make {unknown}"


def test_no_file_names_a_folder_of_somebodys_machine() -> None:
    somebodys = re.compile(rb"(?<![\w.~$)}])/(?:home|Users|root|work)/[\w.-]+|[A-Z]:\\Users\\")
    for path in tracked_files():
        found = somebodys.search(path.read_bytes()) if path.suffix not in {".png", ".npy", ".flac"} else None
        assert found is None, f"{path.relative_to(ROOT)} names {found[0]!r}"
