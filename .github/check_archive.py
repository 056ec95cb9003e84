"""Installs a wheel or sdist into a clean virtual environment and runs it there.

The environment lends the dependencies of the one that runs this script, but not the project itself, so
that a file that is missing in the archive is missed.
"""

import subprocess
import sys
import sysconfig
import tempfile
import venv
from pathlib import Path

CHECK = """
import importlib.metadata, importlib.resources, sys
import musicfsl
package = importlib.resources.files("musicfsl")
assert str(package).startswith(sys.prefix), f"imported from {package}"
assert musicfsl.__version__ == importlib.metadata.version("musicfsl")
needed = ("py.typed", "configs/fit.yaml", "weights/musicfsl-small.safetensors")
missing = [name for name in needed if not package.joinpath(name).is_file()]
assert not missing, f"the archive lacks {missing}"
"""


def main(archive: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        clean = Path(folder) / ("Scripts" if sys.platform == "win32" else "bin")

        def run(*command: str) -> None:
            subprocess.run([clean / command[0], *command[1:]], check=True, cwd=folder, stdout=subprocess.DEVNULL)

        run("python", "-m", "pip", "install", "--quiet", "--no-deps", str(archive.resolve()))
        # A .pth file adds a folder of packages, but not what that folder's own .pth files would add.
        site_packages = sysconfig.get_path("purelib", vars={"base": folder, "platbase": folder})
        Path(site_packages, "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
        run("python", "-c", CHECK)
        run("musicfsl", "--help")
    print(f"{archive} installs and runs")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
