"""Lets the pages of the programming interface say what the source says.

- Types stand as they are written in the source, instead of being unrolled (``ArrayLike`` is ten lines otherwise).
- A function with overloads has one signature, its own.
- Data is described by the comment above it, also where a package re-exports it, instead of by its type's docstring.
- A line that begins with an author's initial ("J. Liu, ...") is no item of a list.
- A reference may name an object by its last part, or by any path that it can be imported from. Where two objects have
  the same last part, it means the one that the module it stands in means by it.
"""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.errors import PycodeError
from sphinx.pycode import ModuleAnalyzer
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.nodes import make_refnode

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.config import Config
    from sphinx.environment import BuildEnvironment

_PACKAGE = "musicfsl"

_SETTINGS = {
    "autodoc_inherit_docstrings": False,  # an overriding method is described once, where it is defined first
    "autodoc_member_order": "bysource",
    "autodoc_preserve_defaults": True,
    "autodoc_typehints": "description",
    "autodoc_typehints_description_target": "documented",
    "default_role": "py:obj",  # what docstrings mean by `name`
    "napoleon_custom_sections": [("Attributes", "params_style"), "Shape", "Reference"],
    "napoleon_numpy_docstring": False,
    "python_use_unqualified_type_names": True,
}
_AFTER_OTHERS = 900  # priority of an event handler; Sphinx's own have 500


def choose_settings(app: Sphinx, config: Config) -> None:
    """Sets how autodoc and napoleon read the docstrings."""
    for name, value in _SETTINGS.items():
        config[name] = value


def keep_written_types(app: Sphinx, kind: str, name: str, documented: Any, *_: Any) -> None:
    """Replaces what autodoc recorded of a signature's types by their text in the source."""
    if not callable(documented):
        return
    try:
        signature = inspect.signature(documented)
    except (TypeError, ValueError):
        return
    written = {parameter.name: parameter.annotation for parameter in signature.parameters.values()}
    written["return"] = signature.return_annotation
    recorded = app.env.temp_data.get("annotations", {}).get(name, {})
    recorded.update({part: text for part, text in written.items() if part in recorded and isinstance(text, str)})


def describe_data(app: Sphinx, kind: str, name: str, documented: Any, options: Any, lines: list[str]) -> None:
    """Takes the description of data from the ``#:`` comment where it is defined."""
    if kind == "data":
        lines[:] = _comment_above(name.rpartition(".")[2], documented)


def keep_initials(app: Sphinx, kind: str, name: str, documented: Any, options: Any, lines: list[str]) -> None:
    """Keeps a reference of one line from being read as item J of a list, which would drop the initial."""
    lines[:] = [re.sub(r"^(\s*)(?=[A-Z]\. )", r"\1\\", line) for line in lines]


def _comment_above(name: str, documented: Any) -> list[str]:
    for module_name, module in sorted(sys.modules.items()):
        if module_name.partition(".")[0] == _PACKAGE and vars(module).get(name) is documented:
            try:
                comments = ModuleAnalyzer.for_module(module_name).find_attr_docs()
            except PycodeError:
                continue
            if ("", name) in comments:
                return comments["", name]
    return []


def forget_overloads(app: Sphinx, env: BuildEnvironment, docnames: list[str]) -> None:
    """Makes autodoc, which shares the analysed sources, show what a function itself takes."""
    if not docnames:
        return
    root = Path(importlib.import_module(_PACKAGE).__path__[0])
    for path in root.rglob("*.py"):
        if "@overload" in path.read_text(encoding="utf-8"):  # looking first saves importing every module
            analyzer = ModuleAnalyzer.for_module(".".join([_PACKAGE, *path.relative_to(root).with_suffix("").parts]))
            analyzer.analyze()
            analyzer.overloads.clear()


def resolve_short_name(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, content: nodes.TextElement
) -> nodes.reference | None:
    """Links a reference that Sphinx cannot place: ``EpisodeDataset``, or ``musicfsl.audio.load_audio``."""
    if node.get("refdomain") != "py" or app.builder is None:
        return None
    target = node["reftarget"]
    objects = env.get_domain("py").objects  # type: ignore[attr-defined]
    alike = [name for name, entry in objects.items() if name.endswith(f".{target}") and not entry.aliased]
    if target.startswith(f"{_PACKAGE}."):
        last, meant = target.rpartition(".")[2], _import(target)
        alike = [
            name
            for name, entry in objects.items()
            if name.endswith(f".{last}") and not entry.aliased and meant is not None and _import(name) is meant
        ]
    if len(alike) != 1:
        return None
    entry = objects[alike[0]]
    return make_refnode(app.builder, node["refdoc"], entry.docname, entry.node_id, content, alike[0])


class NameWhatIsMeant(SphinxPostTransform):
    """Writes out the path of a short name that several objects have."""

    default_priority = 5  # before Sphinx resolves references, at 10

    def run(self, **_: Any) -> None:
        """Goes through the references of a page."""
        objects = self.env.get_domain("py").objects  # type: ignore[attr-defined]
        for node in self.document.findall(pending_xref):
            target = node.get("reftarget", "")
            if node.get("refdomain") == "py" and "." not in target:
                alike = [name for name, entry in objects.items() if name.endswith(f".{target}") and not entry.aliased]
                meant = _meant(node, target) if len(alike) > 1 else None
                node["reftarget"] = next((name for name in alike if meant and _import(name) is meant), target)


def _meant(node: pending_xref, name: str) -> Any:
    """The object that a name stands for where a reference stands: in the module of its class, or the one shown."""
    module = node.get("py:module") or ""
    documented = _import(f"{module}.{node['py:class']}") if module and node.get("py:class") else None
    for place in (getattr(documented, "__module__", ""), module):
        found = vars(sys.modules[place]).get(name) if place in sys.modules else None
        if found is not None:
            return found
    return None


def _import(path: str) -> Any:
    """The object of a dotted name, or None."""
    module, rest = path, []
    while module:
        try:
            found = importlib.import_module(module)
        except ImportError:
            module, _, last = module.rpartition(".")
            rest.insert(0, last)
            continue
        for attribute in rest:
            found = getattr(found, attribute, None)
        return found
    return None


def setup(app: Sphinx) -> dict[str, bool]:
    """Connects the handlers."""
    app.setup_extension("sphinx.ext.autodoc")
    app.setup_extension("sphinx.ext.napoleon")
    app.connect("config-inited", choose_settings)
    app.connect("env-before-read-docs", forget_overloads)
    app.connect("autodoc-process-signature", keep_written_types, priority=_AFTER_OTHERS)
    app.connect("autodoc-process-docstring", describe_data, priority=_AFTER_OTHERS)
    app.connect("autodoc-process-docstring", keep_initials, priority=_AFTER_OTHERS)
    app.connect("missing-reference", resolve_short_name)
    app.add_post_transform(NameWhatIsMeant)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
