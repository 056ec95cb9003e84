"""Which modules of a package some code depends on, found by reading the code, not by running it.

Read are imports (inside functions too, but not those under ``TYPE_CHECKING``), names taken from an imported
package (``musicfsl.EpisodeDataset``), tables of lazily imported names (``_MODULE_OF``) and strings that name
a module (``"musicfsl.datasets.tinysol:TinySOL"``) or a data file of the package (``"fit.yaml"``). Where
reading cannot tell, it assumes more rather than less.
"""

from __future__ import annotations

import ast
import hashlib
import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

__all__ = ["Package"]

_LAZY_TABLE = "_MODULE_OF"


class Package:
    """The modules of one Python package and their dependencies on one another.

    Args:
        folder: the package, named like its folder.
    """

    def __init__(self, folder: Path) -> None:
        self.name = folder.name
        self.files: dict[str, Path] = {}
        self.data_files: dict[str, Path] = {}
        for path in sorted(folder.rglob("*")):
            relative = path.relative_to(folder.parent)
            if path.suffix == ".py":
                parts = relative.with_suffix("").parts
                self.files[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
            elif path.is_file() and "__pycache__" not in relative.parts:
                self.data_files[path.name] = path
        self.references = cache(self._references_of)

    def used_by(self, code: str) -> set[str]:
        """Modules and data files that a piece of code depends on, directly or through others.

        Raises:
            SyntaxError: the code is not Python.
        """
        found: set[str] = set()
        waiting = [*_Reader(self, None).read(ast.parse(code))]
        while waiting:
            name = waiting.pop()
            if name not in found:
                found.add(name)
                waiting += self.references(name)
        return found

    def fingerprint(self, names: Iterable[str]) -> str:
        """A hash of the content of modules and data files."""
        digest = hashlib.sha256()
        for name in sorted(names):
            content = (self.files.get(name) or self.data_files[name]).read_bytes()
            digest.update(f"{name} {len(content)} ".encode())
            digest.update(content)
        return digest.hexdigest()

    def resolve(self, module: str, name: str) -> str:
        """The module that holds what ``from module import name`` gives."""
        if f"{module}.{name}" in self.files:
            return f"{module}.{name}"
        table = self.lazy_names(module)
        return self.resolve(f"{module}.{table[name]}", name) if name in table else module

    def lazy_names(self, module: str) -> dict[str, str]:
        """The table of names that a package imports where they are first used: name -> submodule."""
        for statement in self._tree(module).body if module in self.files else []:
            if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == _LAZY_TABLE:
                table: dict[str, str] = ast.literal_eval(statement.value)
                return table
        return {}

    def named_in(self, text: str) -> str | None:
        """The module or data file that a string names, if it names one."""
        if text in self.data_files:
            return text
        dotted = re.fullmatch(rf"({self.name}(?:\.\w+)+)(?::\w+)?", text)
        return self.longest_module(dotted[1]) if dotted else None

    def longest_module(self, dotted: str) -> str | None:
        """The module that a dotted name begins with: ``"package.module"`` for ``"package.module.Class.method"``."""
        while dotted and dotted not in self.files:
            dotted = dotted.rpartition(".")[0]
        return dotted or None

    def _references_of(self, name: str) -> frozenset[str]:
        if name in self.data_files:
            dotted = re.findall(rf"\b{self.name}(?:\.\w+)+", self.data_files[name].read_text(errors="replace"))
            return frozenset(module for found in dotted if (module := self.longest_module(found)))
        return frozenset({*_Reader(self, name).read(self._tree(name)), *self._parents(name)})

    def _parents(self, module: str) -> Iterator[str]:
        while module := module.rpartition(".")[0]:
            yield module

    @cache  # noqa: B019  (a package lives as long as the build)
    def _tree(self, module: str) -> ast.Module:
        return ast.parse(self.files[module].read_text(encoding="utf-8"))


class _Reader(ast.NodeVisitor):
    """Collects what one module, or a chapter's code (``module`` None), refers to."""

    def __init__(self, package: Package, module: str | None) -> None:
        self._package = package
        self._module = module
        self._found: set[str] = set()
        self._names: dict[str, str] = {}  # local name -> module of the package that it stands for

    def read(self, tree: ast.Module) -> set[str]:
        # Names first: a function may use what is imported below it.
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                self._bind(node)
        self.visit(tree)
        return self._found - {self._module}

    def _bind(self, node: ast.Import) -> None:
        for alias in node.names:
            if self._belongs(alias.name):
                self._names[alias.asname or self._package.name] = alias.name if alias.asname else self._package.name

    def visit_If(self, node: ast.If) -> None:
        if ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            for statement in node.orelse:
                self.visit(statement)
        else:
            self.generic_visit(node)

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            if self._belongs(alias.name):
                self._add(alias.name)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        module = self._absolute(node)
        if not self._belongs(module):
            return
        self._add(module)
        for alias in node.names:
            if alias.name == "*":
                self._add_all_of(module)
            else:
                self._take(module, alias.name, alias.asname or alias.name)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        base = self._module_that(node.value)
        if base is None:
            self.generic_visit(node)
        else:
            self._add(self._package.resolve(base, node.attr))

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Load) and node.id in self._names:
            self._add_all_of(self._names[node.id])  # passed on as a whole, as in getattr(musicfsl, name)

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, str) and (named := self._package.named_in(node.value)):
            self._found.add(named)

    def visit_Call(self, node: ast.Call) -> None:
        # IPython's ``!musicfsl demo``, once it has been made Python.
        words = [word for a in node.args if isinstance(a, ast.Constant) for word in str(a.value).split()]
        if ast.unparse(node.func) == "get_ipython().system" and self._package.name in words:
            self._add_command()
        self.generic_visit(node)

    def visit_List(self, node: ast.List) -> None:
        # ``[sys.executable, "-m", "musicfsl", ...]`` for a subprocess
        if any(isinstance(item, ast.Constant) and item.value == self._package.name for item in node.elts):
            self._add_command()
        self.generic_visit(node)

    def _belongs(self, module: str) -> bool:
        return module.partition(".")[0] == self._package.name

    def _absolute(self, node: ast.ImportFrom) -> str:
        if not node.level or self._module is None:
            return node.module or ""
        is_package = self._package.files[self._module].name == "__init__.py"
        parts = self._module.split(".")
        parts = parts[: len(parts) - node.level + is_package]
        return ".".join([*parts, node.module] if node.module else parts)

    def _module_that(self, node: ast.expr) -> str | None:
        """The module that an expression such as ``musicfsl.plots`` stands for."""
        if isinstance(node, ast.Name):
            return self._names.get(node.id)
        if isinstance(node, ast.Attribute) and (base := self._module_that(node.value)):
            inner = f"{base}.{node.attr}"
            return inner if inner in self._package.files else None
        return None

    def _take(self, module: str, name: str, local_name: str) -> None:
        source = self._package.resolve(module, name)
        self._add(source)
        if source == f"{module}.{name}":
            self._names[local_name] = source

    def _add(self, module: str) -> None:
        if known := self._package.longest_module(module):
            self._found.add(known)

    def _add_all_of(self, module: str) -> None:
        self._add(module)
        for name in self._package.lazy_names(module):
            self._add(self._package.resolve(module, name))

    def _add_command(self) -> None:
        self._add(f"{self._package.name}.__main__")
