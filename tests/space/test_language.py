"""The language of space files: what is read, and that every mistake is one line with file, key, value and rule."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas import units
from nas.analysis.show_space import EXACT
from nas.errors import SpaceError
from nas.space import SearchSpace, available, quantities
from nas.space.document import parse
from nas.topology.vocabulary import JOINS, OPS

FILE = """\
task: digits
network:
  stem: {op: conv3x3, width: 16}
  stages:
    - {blocks: 2, op: basic, width: 16}
    - {blocks: [1, 2], op: [basic, {op: mbconv, kernel: [3, 5]}], width: 32, stride: 2}
  head: classify
skips:
  kinds: [none, add, concat, gate, long]
  long: {join: [concat, add], reach: [2, 8]}
  concat: {growth: 0.5}
limits: {params: 2M, memory: 2GiB}
train: {epochs: 3, lr: 5e-2}
search:
  objectives: [accuracy, params]
  trials: 60
  baselines: [plain, resnet]
  time: 1h30m
"""


def load(folder: Path, text: str) -> SearchSpace:
    (folder / "it.yaml").write_text(text, encoding="utf-8")
    return SearchSpace.load(folder / "it.yaml")


def complaint(folder: Path, text: str | bytes) -> str:
    path = folder / "it.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(SpaceError) as raised:
        SearchSpace.load(path)
    message = str(raised.value)
    assert message.startswith(str(path)) and "\n" not in message
    return message.removeprefix(str(path))


def test_what_a_file_says(tmp_path: Path) -> None:
    space = load(tmp_path, FILE)
    assert space.task.name == "digits" and space.source == str(tmp_path / "it.yaml")
    assert (space.recipe.epochs, space.recipe.lr, space.recipe.momentum) == (3, 0.05, space.task.recipe.momentum)
    assert space.limits == {"params": 2_000_000, "memory": 2**31}
    assert (space.goals.names, space.search.trials, space.search.time) == (["accuracy", "params"], 60, 5400)
    assert (space.search.early_stopping.rule, space.search.sampler, space.search.seed) == ("none", "topology", 0)
    stopped = load(tmp_path, FILE.replace("trials: 60", "early_stopping: asha"))
    assert stopped.search.early_stopping.rule == "asha"
    assert (space.search.log_to, stopped.search.log_to) == ((), ())
    assert load(tmp_path, FILE.replace("trials: 60", "log_to: tensorboard")).search.log_to == ("tensorboard",)


def test_the_resolved_space_is_plain_data_that_reads_back(tmp_path: Path) -> None:
    space = load(tmp_path, FILE)
    data = json.loads(json.dumps(space.to_dict()))
    assert data["train"] == space.recipe.model_dump()
    assert data["network"]["stages"][1]["op"] == ["basic", {"op": "mbconv", "kernel": [3, 5]}]
    again = SearchSpace.from_dict(data)
    assert again == space and again.to_dict() == data and again.size() == space.size()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        # unknown words, with the closest one
        (
            "head:",
            "haed:",
            ":7: network.haed: is unknown here: it must be one of stem, stages, head, but got 'haed' (did",
        ),
        (
            "kinds:",
            "kind:",
            f":9: skips.kind: is unknown here: it must be one of {', '.join(JOINS)}, kinds, long, at_most, scale",
        ),
        (
            "stride: 2",
            "strid: 2",
            ":6: network.stages[2].strid: is unknown here: it must be one of blocks, op, width, s",
        ),
        (
            "kernel:",
            "kernl:",
            ":6: network.stages[2].op[2].kernl: is no option of mbconv: it must be one of width, skip, ",
        ),
        ("op: basic,", "op: basik,", f":5: network.stages[1].op: must be one of {', '.join([*OPS][:3])}, "),
        ("classify", "clasify", ":7: network.head: must be one of classify, norm_classify, "),
        ("conv3x3", "conv3", ":3: network.stem.op: must be one of conv3x3, conv_norm_act, "),
        ("task: digits", "task: digit", ":1: task: task must be one of breast_cancer"),
        ("epochs", "epoch", ":13: train.epoch: is unknown here: it must be one of epochs, batch_size, "),
        (
            "gate, long]",
            "gat, long]",
            f":9: skips.kinds[4]: must be one of none, {', '.join(JOINS)}, long, but got 'g",
        ),
        (
            "[accuracy, params]",
            "[acuracy]",
            ":15: search.objectives[1]: must be one of accuracy, params, memory, flops, ",
        ),
        (
            "[plain, resnet]",
            "[plain, resnt]",
            ":17: search.baselines[2]: baseline 'resnt': a reference must be one of ",
        ),
        (
            "[plain, resnet]",
            "[resnet21]",
            ":17: search.baselines[1]: baseline 'resnet21': depth of resnet must be 6n+2",
        ),
        (
            "trials: 60",
            "sampler: tpee",
            ":16: search.sampler: must be one of topology, tpe, gp, nsga2, qmc, random, exhaustive, but got 't",
        ),
        (
            "trials: 60",
            "log_to: [tensorbord]",
            ":16: search.log_to[1]: must be one of tensorboard, mlflow, wandb, but got 'tensorbord' "
            "(did you mean 'tensorboard'?)",
        ),
        # wrong types
        (
            "width: 16}\n  stages",
            "width: wide}\n  stages",
            ":3: network.stem.width: must be a whole number, but got 'wide'",
        ),
        ("blocks: 2", "blocks: 2.5", ":5: network.stages[1].blocks: must be a whole number, but got 2.5"),
        ("blocks: 2", "blocks: [1, true]", ":5: network.stages[1].blocks[2]: must be a whole number, but got True"),
        ("trials: 60", "trials: many", ":16: search.trials: must be a whole number, but got 'many'"),
        ("lr: 5e-2", "lr: .inf", ":13: train.lr: must be a finite number, but got inf"),
        ("epochs: 3", "epochs: true", ":13: train.epochs: must be a number, not a switch"),
        ("task: digits", "task: 7", ":1: task: must be a mapping of keys to values, but got 7"),
        ("head: classify", "head: 7", ":7: network.head: must be a mapping of keys to values, but got 7"),
        ("{epochs: 3, lr: 5e-2}", "3", ":13: train: must be a mapping of keys to values, but got 3"),
        (
            "kernel: [3, 5]",
            "kernel: {a: 1}",
            ":6: network.stages[2].op[2].kernel: must be a number, a word, true or fals",
        ),
        # values out of bounds
        ("blocks: 2", "blocks: 0", ":5: network.stages[1].blocks: must allow at least 1 block, but got 0"),
        ("blocks: 2", "blocks: 100000", ":5: network.stages[1].blocks: 0 <= blocks <= 1024 must hold, but got 100000"),
        ("blocks: 2", "blocks: []", ":5: network.stages[1].blocks: must have at least 1 value, but got []"),
        ("blocks: 2", "blocks: [2, 2]", ":5: network.stages[1].blocks[2]: must be given once, but 2 is there twice"),
        ("width: 32", "width: -1", ":6: network.stages[2].width: must be at least 1, but got -1"),
        (
            "kernel: [3, 5]",
            "kernel: [3, 4]",
            ":6: network.stages[2].op[2].kernel[2]: mbconv.kernel must be odd, but got 4",
        ),
        (
            "reach: [2, 8]",
            "reach: [1, 8]",
            ":10: skips.long.reach: must be [nearest, farthest] in blocks, with 2 <= neares",
        ),
        (
            "growth: 0.5",
            "growth: 0",
            ":11: skips.concat.growth: must be a number of channels (12) or a share of the width",
        ),
        (
            "concat: {growth: 0.5}",
            "gate: {bias: [-2, warm]}",
            ":11: skips.gate.bias[2]: gate.bias must be a number or auto, but got 'warm'",
        ),
        ("concat: {growth: 0.5}", "gate: {bias: -99}", ":11: skips.gate.bias: -30 <= gate.bias <= 30 must hold"),
        (
            "concat: {growth: 0.5}",
            "add: {bias: -2}",
            ":11: skips.add.bias: is unknown here: it must be",
        ),
        (
            "2M",
            "2X",
            ":12: limits.params: must be a number such as 500000, 1.5k, 2M or 3G (units: k, K, M, G, T), but got ",
        ),
        ("2GiB", "2Gb", ":12: limits.memory: must be a size such as 800000, 500MB or 2GiB (units: "),
        ("1h30m", "'1:30'", ":18: search.time: must be a time such as 90s, 30m, 2h or 1h30m, but got '1:30'"),
        ("trials: 60", "seed: -1", ":16: search.seed: must be at least 0, but got -1"),
        # what cannot be built
        (
            "width: 16}\n  stages",
            "}\n  stages",
            ":3: network.stem: 1 <= stem.width <= 65536 must hold for a whole number",
        ),
        ("conv3x3", "token", ":3: network.stem: it reads a sequence of tokens (T,), but the input is (1, 8, 8)"),
        (
            "head: classify",
            "head: class_token",
            ":7: network.head: head (class_token): it reads sequence features, but ",
        ),
        (
            "op: basic,",
            "op: attention,",
            ":5: network.stages[1]: attention: it reads sequence features, but gets image 16",
        ),
        (
            "op: basic, width: 16",
            "op: bottleneck, width: 12",
            ":5: network.stages[1]: bottleneck: expansion must divide the",
        ),
        (
            "op: basic, width: 16",
            "op: basic",
            ":5: network.stages[1]: basic: growth=0.5 is a share of the stage's width, ",
        ),
        (
            "op: basic, width: 16",
            "op: {op: maxpool, width: 4}",
            ":5: network.stages[1].op.width: is fixed: maxpool has no w",
        ),
        (
            "op: basic,",
            "op: [basic, basic],",
            ":5: network.stages[1].op[2]: must be given once, but basic is there twice",
        ),
        (
            "op: basic,",
            "op: dense_layer, stride: 2,",
            ":5: network.stages[1]: dense_layer has no stride: stride == 1 must",
        ),
        (
            "concat: {growth: 0.5}",
            "where: same_shape",
            ":9: skips.kinds: must leave out concat where a stage says `where: ",
        ),
        (
            "concat: {growth: 0.5}",
            "concat: {growth: 60000}",
            ":5: network.stages[1]: width <= 65536 must hold, but with a",
        ),
        # what is missing
        ("task: digits\n", "", ":1: task: is missing"),
        ("  head: classify\n", "", ":2: network.head: is missing"),
        ("blocks: 2, ", "", ":5: network.stages[1].blocks: is missing"),
        ("op: basic, ", "", ":5: network.stages[1].op: is missing"),
    ],
)
def test_a_mistake_is_one_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert FILE.count(old) >= 1
    assert complaint(tmp_path, FILE.replace(old, new, 1)).startswith(message)


BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", ": must be a mapping of keys to values, but got None"),
        ("[]", ":1: must be a mapping of keys to values, but got []"),
        ("a: [1", "LINE: is not YAML: while parsing a flow sequence"),
        ("a: b: c", "LINE: is not YAML: mapping values are not allowed"),
        ("\ta: 1", "LINE: is not YAML: "),
        ("a: 1\na: 2", ":2: the key 'a' is given twice, first in line 1"),
        ("a: {b: 1, c: {d: 1, d: 2}}", ":1: a.c: the key 'd' is given twice"),
        ("a: 1\n---\nb: 1", ":2: must be one document, but another one begins"),
        ("a: *b", ":1: must define the anchor 'b' before its alias"),
        ("a: !!python/object/apply:os.system [ls]", ":1: a: must be plain data, but got the tag"),
        ("a: !!python/name:os.system ''", ":1: a: must be plain data, but got the tag"),
        ("a: !!int x", ":1: a: must be of the type that its tag says, but got 'x'"),
        ("a: " + "9" * 5000, ":1: a: must be a number of at most 40 digits"),
        ("? [a]\n: b", ":1: a key must be a word"),
        (BOMB, ":1: must hold at most 20000 values when its aliases are resolved"),
        ("a: &a [*a]", ":1: must define the anchor 'a' before its alias"),
        ("[" * 100_000, ":1: must be at most 20 levels deep"),
        ("a: " * 5000, "LINE: is not YAML"),
        ("- " * 5000, ":1: must be at most 20 levels deep"),
        ("x" * 300_000, ": a space has at most 256 KiB, but the file is larger"),
        (b"a: \xff", ": must be UTF-8 text, but byte 3 is not"),
        ('"a\\n\\e[2J": 1', ":1: a  [2J: is unknown here"),
        ("a: \x00", ": is not YAML: "),
    ],
    ids=range(23),
)
def test_hostile_files(tmp_path: Path, text: str | bytes, message: str) -> None:
    # libyaml and PyYAML point to different places
    said = re.sub(r"^:\d+:\d+: is not", "LINE: is not", complaint(tmp_path, text))
    assert said.startswith(message)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.data())
def test_no_value_anywhere_is_more_than_a_space_error(data: st.DataObject) -> None:
    """Somewhere in the file stands something else: the space is read, or refused in one line."""
    tree = parse(FILE).data
    place, key = tree, "task"
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = data.draw(st.sampled_from(keys))
        if not isinstance(place[key], dict | list) or data.draw(st.booleans()):
            break
        place = place[key]
    plain: Any = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
    plain |= st.sampled_from([10**30, -1, 0, 1, "none", "long", "basic", float("inf"), float("nan")])
    place[key] = data.draw(
        st.recursive(
            plain, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2)
        )
    )
    try:
        SearchSpace.from_dict(tree).size()
    except SpaceError as error:
        assert "\n" not in str(error) and len(str(error)) < 1000


def test_words_and_numbers_of_yaml_1_2() -> None:
    data = parse("a: [no, on, 1:30, 0o7, 5e-4, 1e3, .5, -3, 012, ~, true, .inf, '1', 2001-01-01]").data
    assert data["a"] == ["no", "on", "1:30", "0o7", 5e-4, 1e3, 0.5, -3, 12, None, True, float("inf"), "1", "2001-01-01"]


def test_aliases_are_read() -> None:
    assert parse("a: &x {b: [1, 2]}\nc: [*x, *x]").data["c"] == [{"b": [1, 2]}, {"b": [1, 2]}]


# ---------------------------------------------------------------------------------------------------- quantities


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2M", 2_000_000),
        ("1.5k", 1500),
        ("0.3k", 300),
        ("3G", 3 * 10**9),
        (70, 70),
        ("70", 70),
        (1e6, 10**6),
        (" 2 M ", 2 * 10**6),
    ],
)
def test_counts(text: Any, value: int) -> None:
    assert quantities.count(text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2GiB", 2**31),
        ("500MB", 5 * 10**8),
        ("1.5 KiB", 1536),
        (4096, 4096),
        ("12B", 12),
        ("0.5TiB", 2**39),
        ("1kB", 1000),
    ],
)
def test_sizes(text: Any, value: int) -> None:
    assert quantities.memory(text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [("2h", 7200), ("30m", 1800), ("1h30m", 5400), ("90s", 90), ("1d 2h", 93600), (20, 20), ("0.5h", 1800), ("20", 20)],
)
def test_times(text: Any, value: float) -> None:
    assert quantities.duration(text) == value


@pytest.mark.parametrize("read", [quantities.count, quantities.memory, quantities.duration])
@pytest.mark.parametrize(
    "value",
    [
        "",
        "M",
        "2X",
        "-2M",
        "2MM",
        "1e6",
        "nan",
        "inf",
        "٣M",
        True,
        None,
        [],
        {},
        0,
        -1,
        float("nan"),
        float("inf"),
        10**19,
    ],
)
def test_no_quantities(read: Any, value: Any) -> None:
    with pytest.raises(ValueError, match=r"must be a .* such as"):
        read(value)


@pytest.mark.parametrize("text", ["1h1h", "1:30", "h", "1w", "1h30"])
def test_times_are_not_written_so(text: str) -> None:
    with pytest.raises(ValueError, match="must be a time"):
        quantities.duration(text)


# --------------------------------------------------------------------------------------------------- which file


def test_spaces_that_come_with_nas_load_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "digits" in available()
    for name in available():
        assert SearchSpace.load(name).size() > 1


@pytest.mark.parametrize("name", available())
def test_a_space_begins_with_what_it_asks_and_how_much_it_holds(name: str) -> None:
    text = available()[name].read_text()
    comment = text[: text.index("\ntask:")].splitlines()
    assert len(comment) >= 3 and all(line.startswith("# ") for line in comment)
    assert "?" in comment[0] + comment[1]
    size = SearchSpace.load(name).size()
    assert f"{f'{size:,}' if size < EXACT else units.large(size)} topologies" in " ".join(comment)


def test_which_file_is_meant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SpaceError, match=r"must be one of .*digits.*, but got 'digit' \(did you mean 'digits'\?\)"):
        SearchSpace.load("digit")
    with pytest.raises(SpaceError, match=r"^none\.yaml: there is no such file$"):
        SearchSpace.load("none.yaml")
    with pytest.raises(SpaceError, match=r"^here/none: there is no such file$"):
        SearchSpace.load("here/none")
    with pytest.raises(SpaceError, match="must be a file"):
        SearchSpace.load(tmp_path)
    (tmp_path / "digits").write_text(FILE)
    assert SearchSpace.load("digits").source == "digits"  # a file that is here comes first
