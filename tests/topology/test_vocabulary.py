"""The rows of the vocabulary: each names a class and rules that exist, and a forgotten step says what to do."""

from __future__ import annotations

import string
from collections.abc import Iterator
from pathlib import Path

import pytest
from torch import nn

from nas.network.blueprint import JOINS_CALLED, STEM_ARGUMENTS, TRANSFORMS
from nas.network.modules import MODULES
from nas.topology import vocabulary
from nas.topology.vocabulary import HEADS, JOINS, NONE, OPS, STEMS, Join, Op, declared

README = (Path(__file__).parents[2] / "README.md").read_text()


def modules() -> Iterator[tuple[str, str]]:
    """(word, the class that its row names) for every row."""
    for name, op in OPS.items():
        yield f"op {name}", op.module
    for name, stem in STEMS.items():
        yield f"stem {name}", stem.module
    for name, head in HEADS.items():
        yield from ((f"head {name}", module) for module in head.modules.values())
    for name, join in JOINS.items():
        yield from ((f"skip {name}", module) for module in (join.module, join.flat_module) if module is not None)


@pytest.mark.parametrize(("word", "module"), modules())
def test_every_word_has_its_class(word: str, module: str) -> None:
    found = hasattr(nn, module.removeprefix("nn.")) if module.startswith("nn.") else module in MODULES
    assert found, f"{word}: write the class {module} into the file of nas/network/ops that declares it"


@pytest.mark.parametrize("name", [name for name, op in OPS.items() if not op.module.startswith("nn.")])
def test_the_class_of_every_op_says_its_formula(name: str) -> None:
    first = (MODULES[OPS[name].module].__doc__ or "").partition("\n")[0]
    assert "F(x) = " in first, f"the docstring of {OPS[name].module} must begin with the formula F(x) = …"


def test_every_rule_that_a_row_names_exists() -> None:
    for name, op in OPS.items():
        assert op.arguments in TRANSFORMS, f"op {name}: arguments must be one of {', '.join(TRANSFORMS)}"
    for name, stem in STEMS.items():
        known = stem.fixed_width or stem.shape_rule in STEM_ARGUMENTS
        assert known, f"stem {name}: add {stem.shape_rule} to STEM_ARGUMENTS of nas/network/blueprint.py"
    for name, join in JOINS.items():
        assert join.arguments in JOINS_CALLED, f"skip {name}: arguments must be one of {', '.join(JOINS_CALLED)}"


def test_expressions_of_joins_can_be_written() -> None:
    for name, join in JOINS.items():
        if join.expression is not None:
            fields = {field for _, field, _, _ in string.Formatter().parse(join.expression) if field}
            assert {"f", "s"} <= fields <= {"f", "s", "dim"}, f"skip {name}: expression is code of f, s and dim"


def test_kinds_of_skips_cannot_be_taken_for_one_another() -> None:
    assert len({NONE, *(join.symbol for join in JOINS.values())}) == len(JOINS) + 1
    for attribute in ("symbol", "formula", "light", "dark", "terminal", "dash", "strokes"):
        values = [getattr(join, attribute) for join in JOINS.values()]
        assert len(set(values)) == len(values), f"two kinds of skip have the same {attribute}"


def test_the_readme_has_a_row_for_every_kind_of_skip() -> None:
    missing = [name for name in JOINS if f"| `{name}` |" not in README]
    assert not missing, f"add a row for {', '.join(missing)} to the table of choices in the README"


# ------------------------------------------------------------------------------------------- reading declarations


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(vocabulary, "OPS_FOLDER", tmp_path)
    return tmp_path


def test_rows_are_read_without_running_the_file(folder: Path) -> None:
    (folder / "mine.py").write_text(
        'raise SystemExit("it was run")\n'
        'OPS = {"twice": {"module": "Twice", "options": {"heads": {"default": 2, "divides_width": True}}}}\n'
    )
    assert declared("OPS", Op)["twice"].options["heads"].divides_width
    assert declared("JOINS", Join) == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('OPS = {"a": {"module": "A", "widht": 3}}', r"mine\.py: OPS\['a'\]: .*widht"),
        ('OPS = {"a": {"module": "A", "size_rule": "halve"}}', r"size_rule must be one of window, .*'halve'"),
        ('OPS = {"a": {"module": "A", "layouts": ("pixels",)}}', r"layout must be one of vector, .*'pixels'"),
        ('OPS = {"a": {"module": name()}}', r"mine\.py: OPS must be a literal"),
        ('OPS = {"a": {"module": "A", "options": {"k": {"default": 1, "hihg": 2}}}}', r"mine\.py: OPS\['a'\]: .*hihg"),
    ],
)
def test_a_row_that_is_wrong_says_where(folder: Path, text: str, message: str) -> None:
    (folder / "mine.py").write_text(text)
    with pytest.raises(ValueError, match=message):
        declared("OPS", Op)


def test_a_word_is_declared_once(folder: Path) -> None:
    for name in ("one", "two"):
        (folder / f"{name}.py").write_text('OPS = {"a": {"module": "A"}}')
    with pytest.raises(ValueError, match=r"two\.py: OPS\['a'\] is declared in another file as well"):
        declared("OPS", Op)
