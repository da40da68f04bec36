"""A table of results: it names topologies, is looked up by seed, and each mistake in it is one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nas import results
from nas.errors import CandidateError, TaskError
from nas.results.table import TableEvaluator, read
from nas.space import SearchSpace
from nas.tasks import get
from nas.topology import references
from tests.helpers.published import TABLE, needs_table
from tests.helpers.result_tasks import NETWORK, space


@pytest.fixture
def table(tmp_path: Path) -> Callable[..., Path]:
    """table(name=metrics, …) or table(text): a file of it."""

    def write(text: str | None = None, **entries: Any) -> Path:
        path = tmp_path / "table.json"
        path.write_text(json.dumps(entries) if text is None else text)
        return path

    return write


def test_a_table_names_topologies_by_key_or_as_references(table: Callable[..., Path]) -> None:
    path = table(**{"resnet8": {"accuracy": 0.5, "seconds": 7}, "0123456789abcdef": {"accuracy": [0.1, 0.2, 0.4]}})
    found = read(path, get("digits"))
    assert found == {
        NETWORK.key: {"accuracy": 0.5, "seconds": 7},
        "0123456789abcdef": {"accuracy": [0.1, 0.2, 0.4]},
    }
    lookup = TableEvaluator(found, path.name, epochs=8)
    assert list(lookup.start(NETWORK, seed=3)) == [{"epoch": 8, "accuracy": 0.5, "seconds": 7}]
    assert lookup.measured == {"seconds": 7}
    with pytest.raises(CandidateError, match=r"table.json has no result of topology [0-9a-f]{16}"):
        next(lookup.start(references.resnet(20), seed=0))


def test_a_list_has_a_number_for_each_seed(table: Callable[..., Path]) -> None:
    lookup = TableEvaluator(read(table(resnet8={"accuracy": [0.1, 0.2, 0.4]}), get("digits")), "t", epochs=1)
    assert [next(lookup.start(NETWORK, seed=seed))["accuracy"] for seed in range(4)] == [0.1, 0.2, 0.4, 0.1]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("[]", "Input should be an object"),
        ('{"resnet8": 0.5}', "resnet8: Input should be"),
        ('{"resnet8": {"accuracy": "high"}}', "resnet8.accuracy: "),
        ('{"resnet8": {"accuracy": NaN}}', "resnet8.accuracy: "),
        ('{"resnet8": {"accuracy": []}}', "resnet8.accuracy: "),
        ('{"resnet8": {"loss": 0.5}}', "the metric must be one of loss, but got 'accuracy'"),
        ("{}", "the metric must be one of"),
        ('{"resnet9000": {"accuracy": 1}}', "'resnet9000' is neither a canonical key nor a reference: "),
        ('{"00000000": {"accuracy": 1}}', "nas_bench_macro needs 'mean_acc' of every network"),
        ('{"resnet8": {"accuracy": 1}, "resnet(8)": {"accuracy": 2}}', "'resnet8' and 'resnet(8)' are one topology"),
    ],
)
def test_a_wrong_table_is_one_line(table: Callable[..., Path], text: str, said: str) -> None:
    with pytest.raises(TaskError) as error:
        read(table(text), get("digits"))
    assert said in str(error.value)
    assert str(error.value).startswith(str(table(text)))
    assert "\n" not in str(error.value)


def test_a_table_that_is_not_there(tmp_path: Path) -> None:
    given = space({"of": "digits", "table": str(tmp_path / "gone.json")})  # a record of old may be read all the same
    with pytest.raises(TaskError, match=r"there is no file or folder .*gone.json"):
        results.evaluator(given.task, given.recipe)


@needs_table
def test_the_table_of_nas_bench_macro() -> None:
    given = SearchSpace.load("nas_bench_macro", table=TABLE)
    found = read(TABLE, given.task)
    assert len(found) == 3969
    assert max(metrics["accuracy"] for metrics in found.values()) == pytest.approx(93.1267, abs=1e-4)
    best = references.nas_bench_macro("22212220")
    assert found[best.key]["accuracy"] == pytest.approx(93.1267, abs=1e-4)
