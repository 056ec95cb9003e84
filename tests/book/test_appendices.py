"""The appendices: nothing public undocumented, no term or work amiss, the data sets as their sources say."""

from __future__ import annotations

import importlib
import json
import pkgutil
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, get_origin

import pytest
import yaml
from book_bibliography import work_labels
from pybtex.database import BibliographyData, Entry, Person, parse_file

import musicfsl
from musicfsl.datasets import dataset_info, dataset_names

BOOK = Path(__file__).parents[2] / "book"
APPENDICES = BOOK / "appendices"
API_PAGES = [APPENDICES / "api.md", *sorted((APPENDICES / "api").glob("*.md"))]


def pages() -> list[Path]:
    return [path for path in sorted(BOOK.rglob("*.md")) if "_build" not in path.parts]


# ---- Programming interface


def modules() -> Iterator[str]:
    """The package and its public modules, packages before what they hold."""
    names = [module.name for module in pkgutil.walk_packages(musicfsl.__path__, "musicfsl.")]
    yield "musicfsl"
    yield from sorted((name for name in names if "._" not in name), key=lambda name: (name.count("."), name))


def public_names() -> set[str]:
    """Every public object once, under the shortest path that it can be imported from."""
    found: dict[tuple[str, object], str] = {}
    for module in modules():
        content = importlib.import_module(module)
        for name in set(getattr(content, "__all__", ())) - {"__version__"}:
            value = getattr(content, name)
            # Literals that say the same are one type; whether they are one object depends on typing's cache.
            found.setdefault((name, value if get_origin(value) is Literal else id(value)), f"{module}.{name}")
    return set(found.values())


def documented(kinds: str) -> list[str]:
    pattern = rf"^\.\. auto(?:{kinds}):: ([\w.]+)"
    return [name for page in API_PAGES for name in re.findall(pattern, page.read_text(encoding="utf-8"), re.MULTILINE)]


def test_every_public_object_is_documented_once_under_the_name_to_import() -> None:
    names = documented("class|exception|function|data")
    assert sorted(set(names)) == sorted(public_names())
    assert len(set(names)) == len(names)


def test_names_of_the_package_itself_are_documented_as_such() -> None:
    assert {f"musicfsl.{name}" for name in musicfsl.__all__} - set(documented("class|exception|function|data")) == {
        "musicfsl.__version__"
    }


def test_every_module_is_introduced_once_at_most() -> None:
    introduced = documented("module")
    assert len(set(introduced)) == len(introduced)
    assert set(introduced) <= set(modules())


def test_api_pages_stand_in_the_table_of_contents() -> None:
    toc = (BOOK / "_toc.yml").read_text(encoding="utf-8")
    files = set(re.findall(r"file: (\S+)", toc))
    assert yaml.safe_load(toc)["format"] == "jb-book"
    assert {page.relative_to(BOOK).with_suffix("").as_posix() for page in API_PAGES} <= files


# ---- Glossary


def glossary() -> dict[str, str]:
    """Term -> definition."""
    text = (APPENDICES / "glossary.md").read_text(encoding="utf-8")
    block = re.search(r"^:::\{glossary\}\n(.*?)^:::$", text, re.MULTILINE | re.DOTALL)
    assert block is not None
    entries = [entry.split("\n", maxsplit=1) for entry in block[1].strip().split("\n\n")]
    assert len({term for term, _ in entries}) == len(entries)
    return dict(entries)


def test_glossary_is_sorted_and_every_definition_is_indented_below_its_term() -> None:
    terms = list(glossary())
    assert len(terms) > 40
    assert terms == sorted(terms, key=str.casefold)
    for term, definition in glossary().items():
        assert not term.startswith(" ")
        assert all(line.startswith("  ") for line in definition.split("\n")), term
        assert definition.rstrip().endswith("."), term


def test_terms_that_pages_refer_to_stand_in_the_glossary() -> None:
    terms = {term.casefold() for term in glossary()}
    for page in pages():
        for shown, target in re.findall(r"\{term\}`([^`<]+?)(?:\s*<([^>`]+)>)?`", page.read_text(encoding="utf-8")):
            assert (target or shown).casefold() in terms, f"{page.name} refers to '{target or shown}'"


# ---- Bibliography


@pytest.fixture(scope="module")
def works() -> BibliographyData:
    return parse_file(BOOK / "references.bib")


def test_keys_hold_the_first_name_and_the_year(works: BibliographyData) -> None:
    for key, entry in works.entries.items():
        person = (entry.persons.get("author") or entry.persons["editor"])[0]
        name = "".join([*person.prelast_names, *person.last_names]).casefold()
        name = re.sub(r"[^a-z]", "", name)
        parts = re.fullmatch(r"([a-z]+)(\d{4})[a-z]*", key)
        assert parts is not None, key
        assert parts[1] in name, key
        assert entry.fields["year"] == parts[2], key


def test_every_work_can_be_found(works: BibliographyData) -> None:
    needed = {"inproceedings": "booktitle", "article": "journal", "book": "publisher", "techreport": "institution"}
    for key, entry in works.entries.items():
        assert entry.fields.get("title"), key
        if entry.type == "misc":
            assert {"doi", "eprint", "url"} & set(entry.fields), key
        else:
            assert entry.fields.get(needed[entry.type]), key
        if "doi" in entry.fields:
            assert re.fullmatch(r"10\.\d{4,5}/[\w./()-]+", entry.fields["doi"]), key
        if "eprint" in entry.fields:
            assert re.fullmatch(r"\d{4}\.\d{4,5}", entry.fields["eprint"]), key
            assert entry.fields["archiveprefix"] == "arXiv", key
        if "url" in entry.fields:
            assert entry.fields["url"].startswith("https://"), key
        pages = entry.fields.get("pages", "")
        assert re.fullmatch(r"|\d+|(\d+)--(\d+)", pages), key
        if "--" in pages:
            first, last = pages.split("--")
            assert int(first) < int(last), key


def test_no_two_works_share_an_identifier(works: BibliographyData) -> None:
    for field in ("doi", "eprint", "url", "title"):
        counts = Counter(entry.fields[field] for entry in works.entries.values() if field in entry.fields)
        assert [value for value, count in counts.items() if count > 1] == []


def test_cited_works_are_known_and_all_works_are_listed(works: BibliographyData) -> None:
    for page in pages():
        for keys in re.findall(r"\{cite:\w+\}`([^`]+)`", page.read_text(encoding="utf-8")):
            assert {key.strip() for key in keys.split(",")} <= set(works.entries), page.name
    listed = re.findall(r"^:filter: (.*)$", (APPENDICES / "bibliography.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert listed == ["cited", "not cited"]


def test_labels_name_authors_and_tell_works_of_one_year_apart() -> None:
    def work(year: int, *names: str, role: str = "author") -> Entry:
        return Entry("misc", {"year": str(year), "title": "T"}, {role: [Person(name) for name in names]})

    entries = {
        "one": work(2014, "Sturm, Bob L."),
        "two": work(1998, "Thrun, Sebastian", "Pratt, Lorien", role="editor"),
        "team": work(2020, "{Executable Books Community}"),
        "prefix": work(2008, "van der Maaten, Laurens", "Hinton, Geoffrey"),
        "b": work(2020, "Wang, Yu", "Salamon, Justin", "Bello, Juan Pablo"),
        "a": work(2020, "Wang, Yaqing", "Yao, Quanming", "Ni, Lionel M."),
    }
    assert work_labels(entries) == {
        "one": "Sturm, 2014",
        "two": "Thrun and Pratt, 1998",
        "team": "Executable Books Community, 2020",
        "prefix": "van der Maaten and Hinton, 2008",
        "a": "Wang et al., 2020a",
        "b": "Wang et al., 2020b",
    }


def test_labels_of_the_book_differ(works: BibliographyData) -> None:
    labels = work_labels(works.entries)
    assert labels.keys() == set(works.entries)
    assert len(set(labels.values())) == len(labels)


# ---- Data sets


def test_every_data_set_of_the_registry_is_described() -> None:
    text = (APPENDICES / "data_sets.md").read_text(encoding="utf-8")
    for name in dataset_names():
        info = dataset_info(name)
        assert f"`{name}`" in text
        assert info.class_path.partition(":")[2] in text
        assert info.licence.partition(",")[0] in text  # "MIT, like the library"
        if info.source.startswith("https://"):
            assert info.source in text
            assert f"musicfsl data prepare {name}" in text or f"musicfsl data verify {name}" in text


def test_numbers_of_notes_are_those_of_tinysol() -> None:
    mirdata = pytest.importorskip("mirdata")
    index = Path(mirdata.__file__).parent / "datasets/indexes/tinysol_index_6.0.json"
    if not index.exists():
        pytest.skip("this mirdata comes without its list of TinySOL's files")
    files = [track["audio"][0] for track in json.loads(index.read_text())["tracks"].values()]
    text = (APPENDICES / "data_sets.md").read_text(encoding="utf-8")
    section = text[text.index("(tinysol)=") : text.index("(medley-solos-db)=")]
    described = [int(number) for number in re.findall(r"\| (\d+) (?=\|)", section)]
    assert Counter(described) == Counter(Counter(path.split("/")[2] for path in files).values())
    assert f"{len(files):,} single notes" in section
    example = re.search(r"audio/Brass\S+\.wav", section)
    assert example is not None
    assert example[0] in files


# ---- The two extensions, on a book of their own

PACKAGE = {
    "musicfsl/__init__.py": "from musicfsl.light import Lamp\nfrom musicfsl.sound import COLOURS, Loud, louder",
    "musicfsl/_table.py": "#: Names that may be used: two of them.\nCOLOURS = ('red', 'blue')\n",
    "musicfsl/sound.py": '''"""Sound."""
from __future__ import annotations
from typing import overload
from numpy.typing import ArrayLike
from musicfsl._table import COLOURS

@overload
def louder(wave: ArrayLike, by: int) -> int: ...
@overload
def louder(wave: ArrayLike, by: float) -> float: ...
def louder(wave: ArrayLike, by: float = 2) -> float:
    """Makes a wave louder, unlike `Loud.quieter` and `musicfsl.sound.Loud`.

    Args:
        wave: of any length.
        by: a factor.

    Reference:
        A. Author, On loudness, 2001.
    """

class Loud:
    """Loud."""

    def quieter(self) -> Loud:
        """Quieter."""
''',
    "musicfsl/light.py": '''"""Light, where some colours are called loud."""
class Loud:
    """A loud colour."""

class Lamp:
    """Shines in a `Loud`."""
''',
    "musicfsl/rooms.py": "from musicfsl.light import Lamp",
}

API = """# A page

```{eval-rst}
.. autofunction:: musicfsl.louder
.. autoclass:: musicfsl.Loud
   :members:
.. autodata:: musicfsl.COLOURS
   :no-value:
.. autoclass:: musicfsl.light.Loud
.. autoclass:: musicfsl.Lamp
```

{py:func}`musicfsl.sound.louder` {py:class}`musicfsl.rooms.Lamp`
{cite:t}`snell2017prototypical` {cite:p}`wang2020fewshotdrum` {cite:p}`lake2015bpl`

```{bibliography}
:filter: cited
```
"""


@pytest.fixture(scope="module")
def api_page(module_checkout) -> str:
    for path, text in PACKAGE.items():
        module_checkout.write(path, text)
    module_checkout.write("book/references.bib", (BOOK / "references.bib").read_text(encoding="utf-8"))
    config = yaml.safe_load((module_checkout.root / "book" / "_config.yml").read_text(encoding="utf-8"))
    config["bibtex_bibfiles"] = ["references.bib"]
    config["sphinx"]["local_extensions"] |= {"book_api": "_ext", "book_bibliography": "_ext"}
    module_checkout.write("book/_config.yml", yaml.safe_dump(config))
    module_checkout.write_pages({"page": API})
    build = module_checkout.build("-W", "--keep-going")
    assert build.succeeded, build.log
    return build.page("page")


def text_of(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", html))


def test_a_function_has_one_signature_and_the_types_of_its_source(api_page: str) -> None:
    assert api_page.count('id="musicfsl.louder"') == 1
    assert re.findall(r"musicfsl\.louder\(.*?\)", text_of(api_page)) == ["musicfsl.louder(wave, by=2)"]
    assert "wave (ArrayLike) – of any length" in text_of(api_page)


def test_a_reference_keeps_the_initial_of_its_author(api_page: str) -> None:
    assert "A. Author, On loudness, 2001." in text_of(api_page)


def test_data_is_described_by_its_comment(api_page: str) -> None:
    assert "Names that may be used: two of them." in text_of(api_page)
    assert "immutable sequence" not in api_page


def test_references_find_objects_under_other_names(api_page: str) -> None:
    links = re.findall(r'<a class="reference internal" href="#([\w.]+)" title=[^>]*><code', api_page)
    assert sorted(links) == [
        "musicfsl.Lamp",
        "musicfsl.Loud",
        "musicfsl.Loud.quieter",
        "musicfsl.light.Loud",
        "musicfsl.louder",
    ]


def test_text_and_list_cite_alike(api_page: str) -> None:
    label = work_labels(parse_file(BOOK / "references.bib").entries)["wang2020fewshotdrum"]
    assert re.search(r"20\d\d[a-z]$", label)  # the book has several works of Wang et al. in that year
    assert text_of(api_page).count(label) == 2
    assert "Snell et al. [2017]" in text_of(api_page)
    listed = [text_of(html).strip("[]") for html in re.findall(r'<span class="label">(.*?\])</span>', api_page)]
    assert listed == ["Lake et al., 2015", "Snell et al., 2017", label]
