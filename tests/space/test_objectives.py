"""Objectives in a space file: words, declarations and bounds; and what is wrong with them, in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from nas.errors import SpaceError
from nas.space import OBJECTIVES, Goals, Objective, SearchSpace
from nas.space.quantities import UNITS, unit
from tests.helpers import scripted

ENERGY = {"name": "energy", "direction": "minimize", "unit": "J"}


def test_words_stay_words_and_declarations_stay_declarations() -> None:
    space = scripted.space(objectives=["accuracy", "latency", ENERGY, {"name": "hits", "direction": "maximize"}])
    assert space.to_dict()["search"]["objectives"] == [
        "accuracy",
        "latency",
        ENERGY,
        {"name": "hits", "direction": "maximize"},
    ]
    again = SearchSpace.from_dict(yaml.safe_load(yaml.safe_dump(space.to_dict())))
    assert again.goals == space.goals and again.to_dict() == space.to_dict()
    assert space.goals.names == ["accuracy", "latency", "energy", "hits"]
    assert [*space.goals.columns] == ["accuracy", "params", "memory", "flops", "latency", "seconds", "energy", "hits"]


def test_accuracy_stands_for_the_metric_of_the_task() -> None:
    data = scripted.space(objectives=["params", "accuracy"]).to_dict()
    task = {"of": "digits", "function": "os:getcwd", "metric": "bits", "direction": "minimize"}
    goals = SearchSpace.from_dict(data | {"task": task}).goals
    assert (goals.metric, goals.names, goals.directions) == ("bits", ["params", "bits"], ["minimize", "minimize"])
    assert goals.losses([3, 0.5]) == (3, 0.5)
    assert scripted.space(objectives=["params", "accuracy"]).goals.losses([3, 0.5]) == (3, -0.5)
    for metric, said in (("latency", "write accuracy, which stands for it"), ("rank", "must be another name: rank")):
        with pytest.raises(SpaceError, match=said):
            changed = data["search"] | {"objectives": ["latency"]}
            SearchSpace.from_dict(data | {"task": task | {"metric": metric}, "search": changed})


@pytest.mark.parametrize(
    ("search", "said"),
    [
        (
            {"objectives": ["accuracy", "enrgy", ENERGY]},
            r"objectives\[2\]: must be one of accuracy, params, memory, flops, latency, seconds, but got 'enrgy'; "
            r"any other number that the task reports must be declared: \{name: 'enrgy', direction: minimize\}",
        ),
        (
            {"objectives": ["param"]},
            r"search\.objectives\[1\]: .* but got 'param' \(did you mean 'params'\?\); any other",
        ),
        ({"objectives": [{"name": "energy"}]}, r"search\.objectives\[1\]\.direction: is missing"),
        (
            {"objectives": [ENERGY | {"direction": "down"}]},
            r"search\.objectives\[1\]\.direction: must be one of maximize, minimize, but got 'down'",
        ),
        (
            {"objectives": [ENERGY | {"units": "J"}]},
            r"objectives\[1\]\.units: is unknown here: .*did you mean 'unit'\?",
        ),
        ({"objectives": [ENERGY | {"name": "params"}]}, r"\[1\]\.name: is known without a declaration: write params"),
        (
            {"objectives": [ENERGY | {"name": "trial"}]},
            r"\[1\]\.name: must be another name: trial is a column of every",
        ),
        ({"objectives": [ENERGY | {"name": "a b"}]}, r"\[1\]\.name: must be a letter and then .*, but got 'a b'"),
        ({"objectives": [ENERGY | {"unit": "J" * 21}]}, r"\[1\]\.unit: must have at most 20 characters, but got 'JJJ"),
        ({"objectives": [ENERGY | {"title": "a\nb"}]}, r"\[1\]\.title: must be printable, but got 'a\\nb'"),
        ({"objectives": [3]}, r"\[1\]: must be a word or a mapping that declares an objective, but got 3"),
        ({"objectives": [ENERGY, ENERGY | {"unit": "W"}]}, r"\[2\]: must be given once, but 'energy' is there twice"),
        ({"objectives": []}, r"search\.objectives: must have at least 1 value"),
        (
            {"constraints": {"energy": 3}},
            r"search\.constraints\.energy: is unknown here: it must be one of params, memory, flops, latency, seconds",
        ),
        (
            {"objectives": [ENERGY], "constraints": {"energy": "much"}},
            r"constraints\.energy: must be a number such as 0.5",
        ),
        ({"constraints": {"latency": "5 parsecs"}}, r"search\.constraints\.latency: must be a time such as 90s"),
        ({"constraints": 3}, r"search\.constraints: must be a mapping of keys to values, but got 3"),
    ],
)
def test_what_is_wrong_is_one_line(search: dict[str, Any], said: str, tmp_path: Path) -> None:
    data = scripted.space().to_dict()
    path = tmp_path / "space.yaml"
    path.write_text(yaml.safe_dump(data | {"search": data["search"] | search}, sort_keys=False))
    with pytest.raises(SpaceError, match=rf"^.*space\.yaml:\d+: .*{said}") as caught:
        SearchSpace.load(path)
    assert "\n" not in str(caught.value)


def test_bounds_are_read_in_the_unit_of_their_objective() -> None:
    size = {"name": "download", "direction": "minimize", "unit": "bytes"}
    constraints = {"download": "2MiB", "energy": 7, "params": "2M", "latency": "5ms"}
    space = scripted.space(objectives=["accuracy", size, ENERGY], constraints=constraints)
    assert space.search.constraints == {"download": 2**21, "energy": 7.0, "params": 2_000_000, "latency": 0.005}
    with pytest.raises(SpaceError, match=r"^limits\.seconds: is unknown here: it must be one of params, memory, flops"):
        SearchSpace.from_dict(scripted.space().to_dict() | {"limits": {"seconds": 3}})


def test_a_bound_is_broken_on_the_worse_side() -> None:
    less, more = OBJECTIVES["params"], Objective("hits", "maximize")
    assert less.excess(150, 100) == 0.5 and less.excess(100, 100) == 0 and less.excess(50, 100) == -0.5
    assert more.excess(150, 100) == -0.5 and more.excess(50, 100) == 0.5
    assert more.excess(1, 0) < 0 < less.excess(1, 0)
    assert more.excess(-3, -2) > 0 > more.excess(-1, -2)
    assert (less.comparison, more.comparison) == ("≤", "≥")


def test_a_unit_of_ones_own_follows_the_number() -> None:
    assert unit("J").show(12.3456) == "12.35 J" and unit("J").show(None) == "–"
    assert unit("J").exact(0.5) == "0.5 J" and unit("J").read("20") == 20
    assert all(unit(name) is UNITS[name] for name in UNITS)


def test_the_title_is_the_name_unless_it_is_said() -> None:
    assert (Objective("hits", "maximize").title, Objective("hits", "maximize", title="score").title) == (
        "hits",
        "score",
    )
    goals = Goals(Objective("bits", "minimize"), (OBJECTIVES["flops"], Objective("hits", "maximize")))
    assert goals.titles() == ["FLOPs", "hits"]
