"""A space is one walk: what it samples, enumerates, counts and encodes must agree, with Optuna and without."""

from __future__ import annotations

import itertools
import json
import random
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import optuna
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from nas import tasks
from nas.errors import SpaceError, TopologyError
from nas.space import SearchSpace
from nas.space.chain import Chain
from nas.space.decisions import Choice, Range, explore
from nas.space.language import Definition
from nas.topology import Topology, references
from nas.topology.block import Block, Head, Scale, Skip, Stem, options_of
from nas.topology.topology import auto_bias
from tests.helpers.topologies import kind_of, only_skip

optuna.logging.set_verbosity(optuna.logging.ERROR)
NONE, ADD = {"kinds": "none"}, {"kinds": ["none", "add"]}


def definition(*stages: dict[str, Any], skips: Any = None, **other: Any) -> dict[str, Any]:
    network = {"stem": {"op": "conv3x3", "width": 4}, "stages": list(stages), "head": "classify"}
    network |= {key: other.pop(key) for key in ("stem", "head") if key in other}
    return {"task": "digits", "network": network, "skips": skips or NONE, "search": {"baselines": []}} | other


def space(*stages: dict[str, Any], skips: Any = None, **other: Any) -> SearchSpace:
    return SearchSpace.from_dict(definition(*stages, skips=skips, **other))


# ------------------------------------------------------------------------- one walk, four uses: random small spaces

OPS: list[Any] = [
    "basic",
    "preact",
    "identity",
    {"op": "identity", "skip": "none"},
    {"op": "conv", "kernel": [1, 3]},
    {"op": "maxpool", "kernel": 2},
    {"op": "maxpool", "skip": ["none", "concat"]},
    {"op": "basic", "width": [4, 12]},
    {"op": "bottleneck", "expansion": [2, 4]},
    "dense_layer_plain",
]


def some(values: list[Any], most: int = 2) -> st.SearchStrategy[list[Any]]:
    return st.lists(st.sampled_from(values), min_size=1, max_size=most, unique_by=repr)


@st.composite
def skips(draw: st.DrawFn) -> dict[str, Any]:
    same_shape = draw(st.booleans()) and draw(st.booleans())
    kinds = ["none", "add", "gate", "mul", "long"] + ([] if same_shape else ["concat", "concat", "long"])
    nearest = draw(st.integers(2, 3))
    return {
        "kinds": draw(some(kinds, 3)),
        "add": {"shortcut": draw(some(["project", "pad"]))},
        "concat": {"growth": draw(some([0.5, 3, 0.25, 0.3]))},
        "gate": {"bias": draw(some(["auto", -2, -3.5, 1e-3]))},
        "at_most": draw(st.sampled_from([1, 1, 1, 2])),
        "scale": draw(some(["one", "zero", "channel=1e-6"])) if draw(st.booleans()) else "one",
        "branch": draw(st.sampled_from(["one", "one", "learned"])),
        "long": {
            "join": draw(some(["add", "mul"] if same_shape else ["add", "concat", "gate"])),
            "reach": draw(st.sampled_from([nearest, [nearest, nearest + 1], [2, None]])),
            "shortcut": draw(some(["project", "pad"])),
            "growth": draw(st.sampled_from([None, 0.5, [2, 0.5]])),
        },
        "where": "same_shape" if same_shape else "any",
    }


@st.composite
def definitions(draw: st.DrawFn) -> dict[str, Any]:
    stages = []
    for _ in range(draw(st.integers(1, 3))):
        stage: dict[str, Any] = {
            "blocks": draw(st.sampled_from([1, 2, 3, [1, 2], [3, 1], [0, 2], [0, 1, 3]])),
            "op": draw(some(OPS)),
            "choose": draw(st.sampled_from(["stage", "stage", "block"])),
            "width": draw(st.sampled_from([4, 8, [4, 8], [8, 12], None])),
            "stride": draw(st.sampled_from([1, 2, [1, 2]])),
        }
        if draw(st.booleans()):
            stage["skips"] = {"kinds": draw(some(["none", "add", "long"]))}
        stages.append(stage)
    stem = {"op": "conv3x3", "width": draw(st.sampled_from([4, [4, 8]])), "stride": draw(st.sampled_from([1, [1, 2]]))}
    return definition(*stages, skips=draw(skips()), stem=stem, head=draw(some(["classify", "norm_classify"])))


def unchecked(data: dict[str, Any]) -> Iterator[tuple[dict[str, Any], Topology]]:
    """The points of a space of which nobody has checked that they can be built."""
    model, task = Definition.model_validate(data), tasks.get("digits")
    for trail, (stem, blocks, head) in explore(Chain.of(model.network, model.skips, task.input).walk):
        yield {d.name: value for d, value in trail}, Topology(task.input, stem, blocks, head, task.outputs)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(definitions())
def test_size_enumeration_sampling_and_encoding_agree(data: dict[str, Any]) -> None:
    try:
        searched = SearchSpace.from_dict(data)
    except SpaceError:
        assume(False)
    size = searched.size()
    assume(size <= 1500)
    points = list(searched.points())
    assert len(points) == size
    assert len({tuple(sorted(params.items())) for params, _ in points}) == size
    for params, topology in random.Random(0).sample(points, min(40, size)):
        assert searched.sample(optuna.trial.FixedTrial(params)) == topology
        encoded = searched.encode(topology)
        assert searched.sample(optuna.trial.FixedTrial(encoded)) == topology
        assert encoded.keys() <= {name for point, _ in points for name in point}
    assert SearchSpace.from_dict(searched.to_dict()) == searched


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(definitions())
def test_the_values_of_a_name_never_change(data: dict[str, Any]) -> None:
    try:
        searched = SearchSpace.from_dict(data)
    except SpaceError:
        assume(False)
    domains: dict[str, Any] = {}
    for place, (trail, _) in enumerate(explore(searched._chain.walk)):
        for decision, _ in trail:
            domain = decision.values if isinstance(decision, Choice) else Range
            assert domains.setdefault(decision.name, domain) == domain
        if place == 1000:
            break


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(definitions())
def test_a_space_is_refused_exactly_if_a_point_of_it_cannot_be_built(data: dict[str, Any]) -> None:
    try:
        SearchSpace.from_dict(data)
        refused = None
    except SpaceError as error:
        refused = error
    if refused is not None and ("where: same_shape" in str(refused) or "width varies" in str(refused)):
        return  # rules that are stricter than they need be, and say so
    try:
        for place, _ in enumerate(unchecked(data)):
            assume(place < 2000)
    except TopologyError as error:
        assert refused is not None, f"accepted, but {error}"
    else:
        assert refused is None, f"every point can be built, but {refused}"


# ------------------------------------------------------------------------------------------------ what is asked


def asked(searched: SearchSpace) -> dict[str, Any]:
    """name → values of every decision of the space; a range is the set of the bounds it was asked with."""
    found: dict[str, Any] = {}
    for trail, _ in explore(searched._chain.walk):
        for decision, _ in trail:
            if isinstance(decision, Choice):
                found[decision.name] = list(decision.values)
            else:
                found.setdefault(decision.name, set()).add((decision.low, decision.high))
    return found


def test_names_and_values_of_the_decisions() -> None:
    searched = space(
        {"blocks": 2, "op": "basic", "width": [4, 8]},
        {"blocks": [1, 2], "op": ["preact", {"op": "mbconv", "kernel": [3, 5]}], "expansion": [2, 3], "width": 4},
        skips={"kinds": ["none", "concat", "long"], "long": {"join": ["add", "mul"]}, "concat": {"growth": [2, 0.5]}},
        stem={"op": "conv3x3", "width": [4, 8]},
        head=["classify", "norm_classify"],
    )
    assert asked(searched) == {
        "stem.width": [4, 8],
        "stage1.width": [4, 8],
        "stage2.blocks": [1, 2],
        "stage2.op": ["preact", "mbconv"],
        "stage2.mbconv.kernel": [3, 5],  # written in the entry of mbconv
        "stage2.expansion": [2, 3],  # written in the stage
        "block01.skip": ["none", "concat"],  # nothing lies two blocks back
        **{f"block{n:02}.skip": ["none", "concat", "long"] for n in (2, 3, 4)},
        **{f"block{n:02}.concat.growth": [2, 0.5] for n in (1, 2, 3, 4)},
        **{f"block{n:02}.join": ["add", "mul"] for n in (2, 3, 4)},
        "block03.source": {(0, 1)},
        "block04.source": {(0, 2)},
        "head.op": ["classify", "norm_classify"],
    }


def test_choosing_for_every_block() -> None:
    stage = {"blocks": 2, "op": ["basic", "conv"], "kernel": [1, 3], "width": [4, 8], "choose": "block"}
    searched = space(stage)
    assert asked(searched) == {
        name: values
        for block in ("block01", "block02")
        for name, values in (
            (f"{block}.op", ["basic", "conv"]),
            (f"{block}.kernel", [1, 3]),
            (f"{block}.width", [4, 8]),
        )
    }
    assert searched.size() == (2 + 2 * 2) ** 2


def test_a_block_keeps_its_name_whatever_comes_before_it() -> None:
    stages = [{"blocks": [1, 3], "op": "basic", "width": 4}, {"blocks": 2, "op": "preact", "width": 4}]
    searched = space(*stages, skips={"kinds": ["none", "long"], "long": {"join": "add"}})
    last = {"block04.skip": "none", "block05.skip": "long", "block05.source": 1}  # the second block of stage 2
    shallow = searched.sample(optuna.trial.FixedTrial({"stage1.blocks": 1} | last))
    deep = searched.sample(
        optuna.trial.FixedTrial({"stage1.blocks": 3, "block02.skip": "none", "block03.skip": "none"} | last)
    )
    assert (len(shallow), len(deep)) == (3, 5)
    assert only_skip(shallow.blocks[-1]) == only_skip(deep.blocks[-1]) == Skip("add", 1)


def test_a_long_skip_is_offered_only_where_it_always_has_a_source() -> None:
    stages = [{"blocks": [1, 4], "op": "basic", "width": 4}, {"blocks": 3, "op": "basic", "width": 4}]
    searched = space(*stages, skips={"kinds": ["add", "long"], "long": {"join": "add", "reach": [3, 4]}})
    questions = asked(searched)
    assert [name for name in sorted(questions) if name.endswith(".skip")] == [
        "block03.skip",
        "block04.skip",
        "block06.skip",  # block 3 where stage 1 has one block, block 6 where it has four
        "block07.skip",
    ]
    assert questions["block07.source"] == {(0, 1), (3, 4)}


def test_optuna_itself_asks_and_remembers() -> None:
    stages = [{"blocks": [1, 2, 3], "op": ["basic", "preact"], "width": 4}] * 2
    searched = space(*stages, skips={"kinds": ["none", "add", "concat", "long"]})
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=1, n_startup_trials=5))
    for _ in range(30):
        trial = study.ask()
        topology = searched.sample(trial)
        assert searched.sample(optuna.trial.FixedTrial(searched.encode(topology))) == topology
        study.tell(trial, float(len(topology)))
    baseline = searched.sample(optuna.trial.FixedTrial(trial.params))
    study.enqueue_trial(searched.encode(baseline))
    assert searched.sample(study.ask()) == baseline


class Stubborn:
    """A trial whose only answer is 5."""

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        return 5

    def suggest_int(self, name: str, low: int, high: int) -> int:
        return 5


def test_a_trial_that_answers_nonsense() -> None:
    with pytest.raises(SpaceError, match=r"stage1\.width: must be one of 4, 8, but got 5"):
        space({"blocks": 1, "op": "basic", "width": [4, 8]}).sample(Stubborn())


# --------------------------------------------------------------------------------------------- what is built


def only(searched: SearchSpace) -> tuple[Block, ...]:
    """The blocks of a space of one topology."""
    (topology,) = searched.enumerate()
    return topology.blocks


def test_growth_is_the_width_of_f_of_a_short_concat() -> None:
    stage = {"blocks": 2, "op": "basic", "width": 10}
    assert [b.width for b in only(space(stage, skips={"kinds": "concat", "concat": {"growth": 0.25}}))] == [2, 2]
    assert [b.width for b in only(space(stage, skips={"kinds": "concat", "concat": {"growth": 0.01}}))] == [1, 1]
    assert [b.width for b in only(space(stage, skips={"kinds": "concat", "concat": {"growth": 12}}))] == [12, 12]
    (topology,) = space(stage, skips={"kinds": "concat", "concat": {"growth": 3}}).enumerate()
    assert [node.width for node in topology.wiring.nodes] == [4, 7, 10]


def test_a_long_concat_keeps_the_width_of_f_unless_told_otherwise() -> None:
    stage = {"blocks": 2, "op": "basic", "width": 10}
    skips = {"kinds": "long", "long": {"join": "concat", "reach": 2}}
    assert [(b.width, only_skip(b)) for b in only(space(stage, skips=skips))] == [(10, None), (10, Skip("concat", 0))]
    skips["long"] |= {"growth": 0.5}  # type: ignore[operator]
    assert [b.width for b in only(space(stage, skips=skips))] == [10, 5]


def test_the_bias_of_gates_is_chosen_and_an_automatic_one_follows_the_depth() -> None:
    stage = {"blocks": [2, 30], "op": "conv", "width": 4}
    chosen = space(stage, skips={"kinds": "gate", "gate": {"bias": ["auto", -4]}})
    params = {f"block{n:02}.gate.bias": "auto" for n in range(1, 31)}
    deep = chosen.sample(optuna.trial.FixedTrial({"stage1.blocks": 30} | params))
    assert {options_of(only_skip(block))["bias"] for block in deep.blocks} == {"auto"}
    assert {options_of(only_skip(block))["bias"] for block in deep.settled} == {auto_bias(30)} != {-2.0}
    assert chosen.encode(deep) == {"stage1.blocks": 30} | params
    short = chosen.sample(
        optuna.trial.FixedTrial({"stage1.blocks": 2, "block01.gate.bias": "auto", "block02.gate.bias": -4.0})
    )
    assert [options_of(only_skip(block))["bias"] for block in short.settled] == [-2.0, -4.0]
    assert chosen.size() == 2**2 + 2**30
    assert chosen.encode(short.canonical()) == chosen.encode(short)
    assert options_of(only_skip(chosen.baselines(["highway"])["highway"].blocks[0])) == {"bias": "auto"}


def test_an_op_that_keeps_the_width_ignores_width_and_growth() -> None:
    blocks = only(space({"blocks": 1, "op": "maxpool", "width": 10}, skips={"kinds": "concat"}))
    assert blocks == (Block("maxpool", skips=Skip("concat")),)


def test_the_stride_is_that_of_the_first_block() -> None:
    assert [b.stride for b in only(space({"blocks": 3, "op": "basic", "width": 4, "stride": 2}))] == [2, 1, 1]


def test_an_entry_may_settle_its_own_skip() -> None:
    stage = {"blocks": 1, "op": [{"op": "identity", "skip": "none"}, "basic"], "width": 4}
    searched = space(stage, skips={"kinds": ["add", "gate"]})
    assert [(b.op, only_skip(b)) for topology in searched.enumerate() for b in topology.blocks] == [
        ("identity", None),
        ("basic", Skip("add")),
        ("basic", Skip("gate", options={"bias": "auto"})),
    ]


def test_the_skips_of_a_stage_change_those_of_the_space() -> None:
    skips = {"kinds": ["long", "none"], "long": {"join": "add", "reach": [2, 3]}}
    stage = {"blocks": 3, "op": "basic", "width": 4, "skips": {"long": {"reach": 3}}}
    searched = space(stage, skips=skips)
    assert [only_skip(topology.blocks[2]) for topology in searched.enumerate()] == [Skip("add", 0), None]


def test_same_shape_offers_skips_only_where_the_shape_stays() -> None:
    stages = [{"blocks": 2, "op": "basic", "width": [4, 8], "stride": [1, 2]}]
    searched = space(*stages, skips={"kinds": ["none", "add"], "where": "same_shape"})
    for topology in searched.enumerate():
        first, second = topology.blocks
        assert only_skip(first) is None or (first.width, first.stride) == (4, 1)
        assert second.stride == 1
    assert searched.size() == 2 * 2 + 3 * 2  # the first block may be skipped in one of the four settings


def test_encode_reads_equals() -> None:
    searched = space({"blocks": 2, "op": "basic", "width": 4}, skips=ADD)
    block = Block("basic", None, skips=Skip("add", shortcut="pad"))  # as wide as its input, which is 4; pads nothing
    topology = Topology((1, 8, 8), Stem("conv3x3", 4), (block, Block("basic", 4)), Head("classify"), 10)
    params = searched.encode(topology)
    assert params == {"block01.skip": "add", "block02.skip": "none"}
    assert searched.sample(optuna.trial.FixedTrial(params)).key == topology.key


@pytest.mark.parametrize(
    "change",
    [
        {"input": (3, 8, 8)},
        {"outputs": 3},
        {"stem": Stem("conv3x3", 8)},
        {"head": Head("norm_classify")},
        {"blocks": (Block("basic", 4),)},
        {"blocks": (Block("basic", 4), Block("basic", 8))},
        {"blocks": (Block("basic", 4), Block("basic", 4, skips=Skip("gate")))},
        {"blocks": (Block("basic", 4), Block("basic", 4, skips=Skip("add", 0)))},
    ],
)
def test_what_is_no_point_is_refused(change: dict[str, Any]) -> None:
    parts: dict[str, Any] = {"input": (1, 8, 8), "outputs": 10, "stem": Stem("conv3x3", 4), "head": Head("classify")}
    parts |= {"blocks": (Block("basic", 4),) * 2}
    searched = space({"blocks": 2, "op": "basic", "width": 4}, skips=ADD)
    assert searched.encode(Topology(**parts)) == {"block01.skip": "none", "block02.skip": "none"}
    with pytest.raises(SpaceError, match="does not hold the topology"):
        searched.encode(Topology(**(parts | change)))


def test_choosing_for_every_block_holds_every_network_of_nas_bench_macro() -> None:
    every = {topology: params for params, topology in SearchSpace.load("nas_bench_macro").points()}
    assert len(every) == 3**8
    assert every.keys() == {references.nas_bench_macro("".join(code)) for code in itertools.product("012", repeat=8)}
    assert every[references.nas_bench_macro("01000000")]["block02.op"] == "mbconv(kernel=3, expansion=3)"


# ------------------------------------------------------------------------------------------ sizes, large and small


def test_sizes_in_closed_form() -> None:
    stage = {"blocks": 4, "op": "basic", "width": 4}
    assert space(stage, skips={"kinds": ["none", "add", "gate"]}).size() == 3**4
    # block n has n − 1 sources two or more blocks back, for each of two joins
    skips = {"kinds": ["none", "long"], "long": {"join": ["add", "mul"]}}
    assert space(stage, skips=skips).size() == 1 * (1 + 2 * 1) * (1 + 2 * 2) * (1 + 2 * 3)
    depths = {"blocks": [0, 2, 3], "op": ["basic", "preact"], "width": 4}
    assert space(depths, skips=ADD).size() == 1 + 2 * (2**2 + 2**3)


def test_the_size_of_a_huge_space_is_counted_at_once() -> None:
    stage = {"blocks": 512, "op": "basic", "width": 4}
    size = space(stage, stage, skips={"kinds": ["none", "long"], "long": {"join": "add"}}).size()
    expected = 1
    for number in range(2, 1025):
        expected *= number  # none, or one of number − 1 sources
    assert size == expected


# --------------------------------------------------------------------------------------------------- baselines


def test_baselines_are_the_chain_of_what_is_listed_first() -> None:
    searched = space(
        {"blocks": [2, 1], "op": ["basic", "preact"], "width": [8, 4], "stride": 2},
        {"blocks": 1, "op": "maxpool", "skips": {"kinds": "none"}},
        skips={"kinds": ["none", "gate"], "concat": {"growth": [0.25, 4]}},
        search={"baselines": ["plain", "resnet", "densenet", "highway", "resnet8"]},
    )
    baselines = searched.baselines()
    kinds = {name: [kind_of(b) for b in topology.blocks] for name, topology in baselines.items()}
    assert list(kinds) == ["plain", "resnet", "densenet", "highway", "resnet8"]
    assert kinds["plain"] == ["none"] * 3
    assert kinds["resnet"] == ["add", "add", "none"]
    assert kinds["densenet"] == ["concat", "concat", "none"]
    assert kinds["highway"] == ["gate", "gate", "none"]
    assert [b.width for b in baselines["densenet"].blocks] == [2, 2, None]
    assert [(b.op, b.stride) for b in baselines["plain"].blocks] == [("basic", 2), ("basic", 1), ("maxpool", 1)]
    assert baselines["resnet8"] == references.resnet(8, input=(1, 8, 8), outputs=10)
    assert searched.encode(baselines["highway"])["block01.skip"] == "gate"
    with pytest.raises(SpaceError, match="does not hold"):
        searched.encode(baselines["resnet"])


def sized(**limits: int) -> SearchSpace:
    return space(
        {"blocks": [1, 3, 2], "op": ["basic", "preact"], "width": [8, 4]},
        {"blocks": 2, "op": "basic", "width": [8, 16, 4]},
        skips={"kinds": ["none", "add", "concat"]},
        limits=limits,
    )


def widths(topology: Topology) -> list[int | None]:
    return [block.width for block in topology.blocks]


def test_a_baseline_is_the_largest_that_fits_the_limits() -> None:
    def price(topology: Topology) -> dict[str, int]:
        return {"params": sum(width or 0 for width in widths(topology))}

    def fitting(most: int) -> list[int | None]:
        return widths(sized(params=most).baselines(["resnet"], price)["resnet"])

    assert fitting(100) == widths(sized().baselines(["resnet"])["resnet"]) == [8, 8, 8, 16, 16]
    assert fitting(55) == [8, 8, 16, 16]
    assert fitting(30) == [4, 4, 4, 8, 8]
    assert fitting(1) == [4, 4, 4]  # none fits: it is refused as any other candidate
    depths = [{"blocks": [3, 1, 2], "op": "basic", "width": width} for width in (8, 16)]
    deep = space(*depths, skips={"kinds": ["none", "add"]}, limits={"params": 60})
    assert widths(deep.baselines(["resnet"], price)["resnet"]) == [8, 8, 8, 16, 16]  # two each, and one more


def test_each_size_and_each_op_of_a_baseline_can_be_asked_for() -> None:
    found = sized().baselines(["resnet(preact)", "plain(each)"])
    assert [block.op for block in found.pop("resnet(preact)").blocks] == ["preact"] * 3 + ["basic"] * 2
    assert list(found) == [f"plain {number} of 9" for number in range(1, 10)]
    assert widths(found["plain 1 of 9"]) == [4, 4, 4]
    assert widths(found["plain 9 of 9"]) == [8, 8, 8, 16, 16]
    assert len({topology.key for topology in found.values()}) == 9
    with pytest.raises(TopologyError, match="resnet"):
        sized().baselines(["resnet(conv)"])


def test_a_topology_keeps_its_chain_with_another_skip_around_every_block() -> None:
    searched = sized()
    for topology in itertools.islice(searched.enumerate(), 0, None, 97):
        added, plain = (searched.uniform(topology, kind) for kind in ("add", "none"))
        assert {kind_of(block) for block in added.blocks} == {"add"}
        assert {block.skips for block in plain.blocks} == {()}
        assert searched.uniform(plain, "add") == added
        assert [block.op for block in added.blocks] == [block.op for block in topology.blocks]


# ------------------------------------------------------------------------------------------------ light to import


def test_a_space_needs_neither_torch_nor_optuna() -> None:
    program = (
        "import sys; from nas.space import SearchSpace; space = SearchSpace.load('digits'); space.size();"
        "space.baselines(); print(sorted({'torch', 'optuna', 'ray', 'pandas', 'sklearn'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd="/")
    assert done.stdout.strip() == "[]"


# ------------------------------------------------------------------------------------------------- several skips


SEVERAL = {"kinds": ["none", "add", "long"], "at_most": 3, "scale": ["one", "zero", "channel=1e-6"]}
SEVERAL |= {"long": {"join": ["add", "mix"], "reach": [2, None]}, "branch": ["one", "channel"]}


def test_a_block_has_several_skips_with_readable_parameters() -> None:
    searched = space({"blocks": 4, "op": "basic", "width": 8}, skips=SEVERAL)
    params = {f"block{n:02}.skip": "none" for n in (1, 2, 3)} | {
        "block04.skip": "add",
        "block04.scale": "one",
        "block04.skip2": "long",
        "block04.skip2.join": "add",
        "block04.skip2.source": 1,
        "block04.skip2.scale": "channel=1e-6",
        "block04.skip3": "long",
        "block04.skip3.join": "mix",
        "block04.skip3.source": 0,
        "block04.branch": "channel",
    }
    topology = searched.sample(optuna.trial.FixedTrial(params))
    learned = Scale("channel", {"start": 1e-6})
    assert topology.blocks[3].skips == (Skip("add"), Skip("add", 1, scale=learned), Skip("mix", 0))
    assert topology.blocks[3].branch == Scale("channel")
    assert searched.encode(topology) == params
    assert Topology.from_dict(json.loads(json.dumps(topology.to_dict()))) == topology
    assert topology.to_dict()["version"] == 2


def test_the_size_of_a_space_of_several_skips_is_exact() -> None:
    few = SEVERAL | {"branch": "one", "at_most": 2, "scale": ["one", "zero"]}
    searched = space({"blocks": [2, 3], "op": "basic", "width": 8}, skips=few)
    every = list(searched.enumerate())
    assert searched.size() == len(every) == len({json.dumps(topology.to_dict()) for topology in every})
    for topology in every[::37]:
        assert searched.sample(optuna.trial.FixedTrial(searched.encode(topology))) == topology
        encoded = searched.sample(optuna.trial.FixedTrial(searched.encode(topology.canonical())))
        assert encoded.key == topology.key


def test_further_skips_may_stand_beside_a_short_one_that_is_always_there() -> None:
    skips = {"kinds": ["add"], "at_most": 2, "long": {"join": "add", "reach": [2, None]}}
    searched = space({"blocks": 3, "op": "basic", "width": 8}, skips=skips)
    assert searched.size() == len(list(searched.enumerate())) == 1 * 2 * 3
    assert all(topology.blocks[2].skips[0] == Skip("add") for topology in searched.enumerate())


def test_the_macro_space_of_enas_is_counted_and_encoded() -> None:
    """Each of 12 layers reads any of the earlier ones: 2^66 ways for the skips, had their order no meaning."""
    skips = {"kinds": ["none", "long"], "at_most": 11, "long": {"join": "add", "reach": [2, None]}}
    searched = space({"blocks": 12, "op": ["conv", "maxpool"], "choose": "block"}, skips=skips)
    rng = random.Random(0)
    plain = next(iter(searched.enumerate()))
    for _ in range(20):
        blocks = [
            Block("conv", None, skips=[Skip("add", source) for source in range(number - 1) if rng.random() < 0.5])
            for number in range(1, 13)
        ]
        topology = replace(plain, blocks=tuple(blocks))
        assert searched.sample(optuna.trial.FixedTrial(searched.encode(topology))) == topology
    assert searched.size() > 2**66


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("half", "must be one of one, zero, learned, channel, constant"),
        ("zero=1", "is fixed: zero takes no number"),
        ("channel=big", "channel.start must be a number"),
        ("constant=1e9", "-1000 <= constant.value <= 1000"),
        (3, "must be one of"),
    ],
)
def test_a_wrong_scale_is_one_line(word: object, message: str) -> None:
    with pytest.raises(SpaceError, match=re.escape(message)):
        space({"blocks": 2, "op": "basic", "width": 8}, skips={"kinds": ["add"], "scale": [word]})


def test_the_own_chain_of_a_topology_has_one_skip_a_block() -> None:
    searched = space({"blocks": 4, "op": "basic", "width": 8}, skips=SEVERAL)
    skips = {f"block{n:02}.skip": "none" for n in (1, 2, 3)} | {"block04.skip": "add", "block04.scale": "zero"}
    further = {"block04.skip2": "long", "block04.skip2.join": "add", "block04.skip2.source": 1}
    last = {"block04.skip2.scale": "one", "block04.skip3": "none", "block04.branch": "channel"}
    topology = searched.sample(optuna.trial.FixedTrial(skips | further | last))
    assert [block.skips for block in searched.uniform(topology, "add").blocks] == [(Skip("add"),)] * 4
    assert all(block.branch is None for block in searched.uniform(topology, "add").blocks)
