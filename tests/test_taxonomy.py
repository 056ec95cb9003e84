"""Trees over class names, against an independent tree library and by their invariants; what the shipped ones hold."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import networkx
import numpy as np
import pytest
import yaml

from musicfsl._tables import embedded_table, read_mapping
from musicfsl.datasets._instruments import INSTRUMENTS, IRMAS_CODES
from musicfsl.errors import InputError
from musicfsl.instruments import canonical, canonical_names
from musicfsl.taxonomy import Taxonomy, taxonomy_names

NESTED = {"strings": {"bowed": ["Violin", "Viola"], "plucked": ["Harp"]}, "winds": ["Oboe", "Flute"], "Voice": None}

TINYSOL = [
    "Accordion", "Contrabass", "Viola", "Cello", "Violin", "French Horn", "Bassoon", "Clarinet in Bb", "Flute",
    "Trombone", "Bass Tuba", "Oboe", "Alto Saxophone", "Trumpet in C",
]  # fmt: skip
MEDLEY_SOLOS = [
    "clarinet", "distorted electric guitar", "female singer", "flute", "piano", "tenor saxophone", "trumpet", "violin",
]  # fmt: skip
# Labels of MedleyDB's stems (medleydb/resources/taxonomy.yaml of its tools and the metadata of its second version).
MEDLEYDB = [
    "erhu", "dilruba", "violin", "viola", "cello", "double bass", "violin section", "viola section", "cello section",
    "string section", "acoustic guitar", "banjo", "guzheng", "harp", "harpsichord", "liuqin", "mandolin", "oud",
    "slide guitar", "ukulele", "zhongruan", "dulcimer", "yangqin", "piano", "tack piano", "dizi", "flute",
    "flute section", "piccolo", "bamboo flute", "panpipes", "recorder", "alto saxophone", "baritone saxophone",
    "bass clarinet", "clarinet", "clarinet section", "tenor saxophone", "soprano saxophone", "oboe", "english horn",
    "bassoon", "bagpipe", "trumpet", "cornet", "trombone", "french horn", "euphonium", "tuba", "brass section",
    "french horn section", "trombone section", "horn section", "trumpet section", "woodwind section", "harmonica",
    "concertina", "accordion", "bandoneon", "harmonium", "pipe organ", "melodica", "male singer", "female singer",
    "male speaker", "female speaker", "male rapper", "female rapper", "male screamer", "female screamer", "beatboxing",
    "vocalists", "choir", "crowd", "triangle", "sleigh bells", "cowbell", "cabasa", "high hat", "gong", "guiro", "gu",
    "cymbal", "chimes", "castanet", "claps", "snaps", "rattle", "shaker", "maracas", "xylophone", "vibraphone",
    "marimba", "glockenspiel", "whistle", "timpani", "toms", "snare drum", "kick drum", "bass drum", "bongo", "conga",
    "tambourine", "darbuka", "doumbek", "tabla", "auxiliary percussion", "drum set", "clean electric guitar",
    "distorted electric guitar", "electric bass", "lap steel guitar", "drum machine", "electric piano",
    "electronic organ", "synthesizer", "theremin", "fx/processed sound", "scratches", "sampler", "Main System",
]  # fmt: skip
ORCHESTRA = [
    "banjo", "bass clarinet", "contrabassoon", "cor anglais", "double bass", "flute", "guitar", "mandolin", "oboe",
    "trombone",
]  # fmt: skip
# Instrument and the number of its class.
PHILIPPINE = {
    "kulintang": "111.241", "agung": "111.241", "gandingan": "111.241", "babandil": "111.241", "gangsa": "111.241",
    "saronay": "111.22", "gabbang": "111.21", "patatag": "111.21", "luntang": "111.21", "bangibang": "111.21",
    "bungkaka": "111.23", "tongatong": "111.23", "patangguk": "111.23", "agung a tamlang": "111.23",
    "kalutang": "111.11", "kagul": "112.2", "kubing": "121.2", "afiw": "121.2", "dabakan": "211.26",
    "sulibaw": "211.25", "libbit": "211.25", "gandang": "211.21", "kolitong": "312", "saluroy": "312",
    "takumbo": "312", "butting": "311", "kudyapi": "321.321", "kugot": "321.31", "gitgit": "321.322-7",
    "tongali": "421.11", "palendag": "421.11", "diwdiw-as": "421.11", "saggeypo": "421.11", "suling": "421.2",
    "bansi": "421.2", "tambuli": "423.1", "budyong": "423.1",
}  # fmt: skip


@pytest.fixture
def tree() -> Taxonomy:
    return Taxonomy(NESTED, "small")


def graph_of(tree: Taxonomy) -> networkx.DiGraph:
    """The same tree in networkx, built from the public interface of the evened-out one."""
    return networkx.DiGraph([(node, child) for node in tree.nodes for child in tree.children(node)])


def random_tree(seed: int) -> Taxonomy:
    """Some thirty classes at depths of 1 to 5."""
    rng = np.random.default_rng(seed)
    nested: dict = {}
    for c in range(30):
        node = nested
        for d in range(rng.integers(0, 5)):
            node = node.setdefault(f"{d} {rng.integers(3)} {seed}{c % 4}", {})
        node[f"class {c}"] = None
    return Taxonomy(nested)


class TestShape:
    def test_classes_nodes_and_depth(self, tree: Taxonomy) -> None:
        assert tree.classes == ["Violin", "Viola", "Harp", "Oboe", "Flute", "Voice"]
        inner = [node for node in tree.nodes if node not in tree.classes]
        assert inner == ["", "strings", "bowed", "plucked", "winds"]
        assert tree.depth == 3
        assert repr(tree) == "Taxonomy('small', 6 classes, depth 3)"

    def test_ancestors_children_leaves_and_heights(self, tree: Taxonomy) -> None:
        assert tree.ancestors("Viola") == ["bowed", "strings"]
        assert tree.ancestors("bowed") == ["strings"]
        assert tree.ancestors("Voice") == []
        assert tree.children("strings") == ["bowed", "plucked"]
        assert tree.children("") == ["strings", "winds", "Voice"]
        assert tree.children("Harp") == []
        assert tree.leaves("strings") == ["Violin", "Viola", "Harp"]
        assert tree.leaves("Harp") == ["Harp"]
        assert [tree.height(node) for node in ("", "strings", "winds", "Voice")] == [3, 2, 1, 0]

    def test_names_of_inner_nodes_written_alike_are_qualified(self) -> None:
        tree = Taxonomy({"strings": {"solo": ["Violin"]}, "solo": {"low": ["Tuba"]}, "winds": {"solo": ["Oboe"]}})
        assert tree.ancestors("Violin") == ["strings / solo", "strings"]
        assert tree.ancestors("Tuba") == ["low", "solo"]
        assert tree.level(1) == ["strings / solo", "low", "winds / solo"]
        assert len(set(tree.nodes)) == len(tree.nodes)
        assert tree.leaves("winds / solo") == ["Oboe"]

    def test_a_level_divides_the_classes_and_each_level_joins_groups_of_the_one_below(self, tree: Taxonomy) -> None:
        assert tree.level(0) == tree.classes
        assert tree.level(1) == ["bowed", "bowed", "plucked", "Oboe (1)", "Flute (1)", "Voice (1)"]
        assert tree.level(2) == ["strings", "strings", "strings", "winds", "winds", "Voice (2)"]
        assert tree.level(3) == [""] * 6
        assert tree.level(2, ["Voice", "Harp", "Harp"]) == ["Voice (2)", "strings", "strings"]

    @pytest.mark.parametrize("seed", range(4))
    def test_levels_of_a_tree_are_those_of_its_evened_one(self, seed: int) -> None:
        tree = random_tree(seed)
        evened = tree.even()
        for h in range(tree.depth + 1):
            assert tree.level(h) == evened.level(h, tree.classes)

    @pytest.mark.parametrize("seed", range(4))
    def test_heights_of_common_ancestors_are_those_of_another_library(self, seed: int) -> None:
        tree = random_tree(seed)
        graph = graph_of(tree.even())
        depth_of = networkx.shortest_path_length(graph, "")
        expected = {
            frozenset(pair): tree.depth - depth_of[node]
            for pair, node in networkx.all_pairs_lowest_common_ancestor(
                graph, itertools.combinations_with_replacement(tree.classes, 2)
            )
        }
        heights = tree.lca_heights()
        assert heights.dtype == np.int64
        for (i, a), (j, b) in itertools.product(enumerate(tree.classes), repeat=2):
            assert heights[i, j] == expected[frozenset((a, b))]
        assert tree.lca_height("class 3", "class 17") == expected[frozenset(("class 3", "class 17"))]

    def test_common_ancestor(self, tree: Taxonomy) -> None:
        assert tree.common_ancestor("Violin", "Viola") == "bowed"
        assert tree.common_ancestor("Violin", "harp") == "strings"
        assert tree.common_ancestor("Violin", "Voice") == ""
        assert tree.common_ancestor("violin", "Violin") == "Violin"

    def test_names_are_found_under_other_spellings_and_aliases(self, tree: Taxonomy) -> None:
        assert tree.leaf("oboe") == "Oboe"
        assert tree.leaf("fiddle") == "Violin"
        assert tree.ancestors("HARP") == ["plucked", "strings"]
        assert tree.level(1, ["fiddle", "viola"]) == ["bowed", "bowed"]
        assert Taxonomy({"low": ["double bass", "drone"]}).leaf("Contrabass") == "double bass"

    def test_an_instrument_of_its_own_name_goes_before_an_alias(self) -> None:
        tree = Taxonomy({"strings": ["violin section", "violin"]})
        assert tree.leaf("Violin Section") == "violin section"
        assert tree.leaf("Violin") == "violin"


class TestChanges:
    def test_pruning_keeps_order_and_takes_the_given_names(self, tree: Taxonomy) -> None:
        pruned = tree.prune(["flute", "fiddle", "Viola"])
        assert pruned.to_dict() == {"strings": {"bowed": ["fiddle", "Viola"]}, "winds": ["flute"]}
        assert pruned.name == "small"
        assert pruned.depth == 3

    def test_pruning_to_all_classes_changes_nothing(self, tree: Taxonomy) -> None:
        assert tree.prune(tree.classes) == tree

    @pytest.mark.parametrize("seed", range(4))
    def test_even_trees_have_all_classes_at_one_depth_and_the_same_heights(self, seed: int) -> None:
        tree = random_tree(seed)
        evened = tree.even()
        assert {len(evened.ancestors(name)) for name in evened.classes} == {tree.depth - 1}
        np.testing.assert_array_equal(evened.lca_heights(), tree.lca_heights())
        assert evened.classes == tree.classes
        assert evened.even() == evened

    @pytest.mark.parametrize("depth", [1, 2, 3, 5])
    def test_shortening_keeps_the_upper_nodes(self, tree: Taxonomy, depth: int) -> None:
        short = tree.even(depth)
        assert short.depth == depth
        for name in tree.classes:
            assert len(short.ancestors(name)) == depth - 1
            top_down = tree.ancestors(name)[::-1][: depth - 1]
            assert short.ancestors(name)[::-1][: len(top_down)] == top_down

    def test_shortening_an_even_tree_is_shortening_the_tree(self, tree: Taxonomy) -> None:
        for depth in range(1, 6):
            assert tree.even().even(depth) == tree.even(depth)

    def test_shuffled_trees_have_the_same_shape_and_classes(self) -> None:
        tree = random_tree(0)
        shuffled = tree.shuffled(seed=1)
        assert sorted(shuffled.classes) == sorted(tree.classes)
        assert [len(shuffled.ancestors(name)) for name in shuffled.classes] == [
            len(tree.ancestors(name)) for name in tree.classes
        ]
        np.testing.assert_array_equal(shuffled.lca_heights(), tree.lca_heights())
        assert shuffled != tree
        assert tree.shuffled(1) == shuffled
        assert tree.shuffled(2) != shuffled

    def test_shuffling_and_renaming_move_the_nodes_that_fill_the_way_up(self, tree: Taxonomy) -> None:
        assert tree.even().shuffled(3) == tree.shuffled(3).even()
        assert tree.even().prune(["voice", "oboe"]) == tree.prune(["voice", "oboe"]).even(3)

    def test_nothing_changes_the_tree_itself(self, tree: Taxonomy) -> None:
        before = Taxonomy(NESTED, "small")
        tree.prune(["Harp"]), tree.even(1), tree.shuffled(0), tree.to_dict()["strings"].clear()
        assert tree == before
        assert hash(tree) == hash(before)


class TestFiles:
    def test_what_was_saved_is_loaded(self, tree: Taxonomy, tmp_path: Path) -> None:
        path = tree.save(tmp_path / "new" / "my_tree.yaml")
        loaded = Taxonomy.load(path)
        assert loaded == tree
        assert loaded.name == "my_tree"
        assert [p.name for p in path.parent.iterdir()] == ["my_tree.yaml"]

    @pytest.mark.parametrize("seed", range(4))
    def test_dict_and_tree_are_inverse(self, seed: int) -> None:
        tree = random_tree(seed)
        assert Taxonomy(tree.to_dict()) == tree
        assert Taxonomy(yaml.safe_load(yaml.safe_dump(tree.to_dict(), sort_keys=False))) == tree

    def test_load_takes_mappings_and_taxonomies_too(self, tree: Taxonomy) -> None:
        assert Taxonomy.load(tree) is tree
        assert Taxonomy.load(NESTED) == tree

    def test_names_that_yaml_would_read_otherwise_survive(self, tmp_path: Path) -> None:
        tree = Taxonomy({"321.322 lutes": ["No", "12"], "é: #x": ["null", "fx/processed sound"]})
        assert Taxonomy.load(tree.save(tmp_path / "t.yaml")) == tree

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("winds: [Oboe\n", "line 2 is not valid YAML"),
            ("", "is empty"),
            ("- Oboe\n", "is a YAML sequence; expected a mapping"),
            ("winds: [Oboe]\nbrass: [Tuba]\nwinds: [Flute]\n", "line 3: 'winds' stands in line 1 too"),
            ("a:\n  b: [Oboe]\n  c: [Tuba]\n  b: [Flute]\n", "line 4: 'b' stands in line 2 too"),
            ("a: {b: [Oboe], b: [Flute]}\n", "line 1: 'b' stands in line 1 too"),
            ("a: &x\n  b: [Oboe]\n  c: *x\n", "'a / c' contains itself"),
            ("a: &x [Oboe, *x]\n", "the list in 'a' holds a list"),
            ("a: &x [Oboe]\nb: *x\n", "class 'Oboe' stands twice, under 'a' and under 'b'"),
            ("a: [Oboe, 12]\n", "12 in 'a' is no text; put the name into quotes"),
            ("a: {no: }\n", "False in 'a' is no text"),
            ("a: 3\n", "'a' holds 3; expected a list of classes"),
            ("a: Oboe\n", "'a' holds 'Oboe'; expected a list"),
            ("a: []\n", "'a' is empty"),
            ("a: {}\n", "'a' is empty"),
            ("a: !!python/object/apply:os.getcwd []\n", "is not valid YAML"),
            ("a: " + "[" * 1500, "nested too deeply|not valid YAML"),
            ("a: " + "{b: " * 150 + "[Oboe]" + "}" * 150, "'a' is nested more than 100 deep|nested too deeply"),
        ],
    )
    def test_bad_files_are_refused_in_one_sentence(self, tmp_path: Path, text: str, message: str) -> None:
        path = tmp_path / "tree.yaml"
        path.write_text(text)
        with pytest.raises(InputError, match=message) as caught:
            Taxonomy.load(path)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_a_missing_file_names_what_there_is(self) -> None:
        with pytest.raises(InputError, match=r"no taxonomy 'hornbostel'.* Did you mean 'hornbostel-sachs'\?"):
            Taxonomy.load("hornbostel")

    def test_a_place_that_cannot_be_written(self, tree: Taxonomy, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(InputError, match="file/tree.yaml cannot be written"):
            tree.save(tmp_path / "file" / "tree.yaml")


class TestErrors:
    @pytest.mark.parametrize(
        ("nested", "message"),
        [
            (["Oboe"], "made from list; expected a mapping"),
            ({}, "the root is empty"),
            ({"winds": ["Oboe", "Oboe"]}, "class 'Oboe' stands twice, under 'winds' and under 'winds'"),
            ({"winds": ["Oboe"], "Oboe": None}, "class 'Oboe' stands twice, under 'winds' and under 'the root'"),
            ({"Oboe": ["Oboe"]}, "'Oboe' is a class and an inner node"),
            ({"winds": ["Oboe", ""]}, "'' in 'winds' is no usable name"),
            ({"winds": ["a / b"]}, "'a / b' in 'winds' is no usable name"),
            ({"winds": [{"reeds": ["Oboe"]}]}, "the list in 'winds' holds a dict"),
            ({"winds": {"reeds": None, "other": 1.5}}, "'winds / other' holds 1.5"),
        ],
    )
    def test_bad_trees(self, nested, message: str) -> None:
        with pytest.raises(InputError, match=re.escape(message)):
            Taxonomy(nested)

    def test_a_tree_that_contains_itself(self) -> None:
        nested: dict = {"winds": {"reeds": ["Oboe"]}}
        nested["winds"]["again"] = nested
        with pytest.raises(InputError, match="'winds / again' contains itself"):
            Taxonomy(nested)

    def test_unknown_classes_and_nodes_name_the_nearest(self, tree: Taxonomy) -> None:
        with pytest.raises(InputError, match=r"class 'Vyola' is not in the taxonomy 'small'. Did you mean 'Viola'\?"):
            tree.prune(["Vyola"])
        with pytest.raises(InputError, match=r"no node 'string' in the taxonomy 'small'. Did you mean 'strings'\?"):
            tree.height("string")
        for ask in (tree.level, tree.lca_heights):
            with pytest.raises(InputError, match="class 'kazoo' is not in"):
                ask(*([1] if ask == tree.level else []), ["kazoo"])

    def test_two_names_of_one_class(self, tree: Taxonomy) -> None:
        with pytest.raises(InputError, match="'fiddle' and 'Violin' both mean 'Violin'"):
            tree.prune(["fiddle", "Violin"])

    def test_a_string_is_no_list(self, tree: Taxonomy) -> None:
        with pytest.raises(InputError, match="classes is the string 'Violin'"):
            tree.prune("Violin")

    @pytest.mark.parametrize("h", [-1, 4])
    def test_heights_outside_of_the_tree(self, tree: Taxonomy, h: int) -> None:
        with pytest.raises(InputError, match=f"height {h} is not in .* expected 0 .* to 3"):
            tree.level(h)

    def test_depth_is_positive(self, tree: Taxonomy) -> None:
        with pytest.raises(InputError, match="depth is 0; expected 1 or more"):
            tree.even(0)


def test_drawing_shows_every_node_below_its_parent(tree: Taxonomy) -> None:
    assert tree.draw().splitlines() == [
        "├─ strings",
        "│  ├─ bowed",
        "│  │  ├─ Violin",
        "│  │  └─ Viola",
        "│  └─ plucked",
        "│     └─ Harp",
        "├─ winds",
        "│  ├─ Oboe",
        "│  └─ Flute",
        "└─ Voice",
    ]
    assert tree.draw(str.upper) == tree.draw().upper()


class TestShipped:
    def test_names(self) -> None:
        assert taxonomy_names() == ["families", "hornbostel-sachs"]

    @pytest.fixture(params=["families", "hornbostel-sachs"])
    def shipped(self, request: pytest.FixtureRequest) -> Taxonomy:
        return Taxonomy.load(request.param)

    @pytest.mark.parametrize(
        "names",
        [TINYSOL, MEDLEY_SOLOS, list(IRMAS_CODES), MEDLEYDB, list(INSTRUMENTS), ORCHESTRA, list(PHILIPPINE)],
        ids=["TinySOL", "Medley-solos-DB", "IRMAS", "MedleyDB", "embedded", "orchestra", "Philippine"],
    )
    def test_classes_of_every_data_set_are_covered_and_stay_apart(self, shipped: Taxonomy, names: list[str]) -> None:
        assert sorted(shipped.prune(names).classes) == sorted(names)

    def test_classes_of_the_tables_of_collections_are_covered(self, shipped: Taxonomy) -> None:
        labels = read_mapping(embedded_table("medleydb.yaml"))
        shipped.prune(sorted({entry.value for entry in labels.values() if entry.value is not None}))
        shipped.prune(list(read_mapping(embedded_table("katunog.yaml"))))

    def test_every_instrument_that_the_package_knows_is_covered(self, shipped: Taxonomy) -> None:
        assert set(canonical_names()) <= set(shipped.classes)

    def test_both_hold_the_same_classes(self) -> None:
        assert set(Taxonomy.load("families").classes) == set(Taxonomy.load("hornbostel-sachs").classes)

    def test_depths(self) -> None:
        assert Taxonomy.load("families").depth == 3
        assert Taxonomy.load("hornbostel-sachs").depth == 5

    def test_no_inner_node_bears_the_name_of_an_instrument(self, shipped: Taxonomy) -> None:
        inner = set(shipped.nodes) - set(shipped.classes)
        assert [node for node in inner if canonical(node) is not None] == []
        assert not any(" / " in node for node in inner)

    def test_relatives_lie_closer(self, shipped: Taxonomy) -> None:
        assert shipped.lca_height("violin", "cello") < shipped.lca_height("violin", "flute")
        assert shipped.lca_height("oboe", "bassoon") < shipped.lca_height("oboe", "flute")
        assert shipped.lca_height("trumpet", "trombone") < shipped.lca_height("trumpet", "marimba")
        assert "single" in shipped.common_ancestor("clarinet", "saxophone")
        assert shipped.ancestors("voice")[-1] == "voices"

    def test_numbers_of_hornbostel_and_sachs(self) -> None:
        tree = Taxonomy.load("hornbostel-sachs")
        assert tree.common_ancestor("guitar", "violin").startswith("321.322 ")
        assert tree.ancestors("piano")[0].startswith("314-4 ")
        assert tree.ancestors("saxophone")[0].startswith("422.212 ")
        assert tree.ancestors("electric guitar")[-1].startswith("5 ")
        for name, number in PHILIPPINE.items():
            assert tree.ancestors(name)[0].startswith(f"{number} ")

    def test_numbers_start_with_those_of_the_nodes_above(self) -> None:
        tree = Taxonomy.load("hornbostel-sachs")
        for node in set(tree.nodes) - set(tree.classes) - {""}:
            numbers = [above.split()[0] for above in [node, *tree.ancestors(node)]]
            numbered = [number for number in numbers if number[0].isdigit()]
            for below, above in itertools.pairwise(numbered):
                assert below.replace("-", "").startswith(above.replace("-", ""))

    def test_the_two_disagree_about_guitars(self) -> None:
        """By sound production the guitar is the violin's relative, by playing that of the electric guitar."""
        physical, families = Taxonomy.load("hornbostel-sachs"), Taxonomy.load("families")
        assert physical.lca_height("guitar", "violin") < physical.lca_height("guitar", "electric guitar")
        assert families.lca_height("guitar", "violin") > families.lca_height("guitar", "electric guitar")
