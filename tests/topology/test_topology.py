"""Topology: what exists can be built; what cannot be built says which block is wrong."""

import json
import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.errors import NasError, TopologyError
from nas.topology import Topology
from nas.topology.block import MAX_BLOCKS, Block, Head, Skip, Stem
from nas.topology.vocabulary import JOINS
from tests.helpers.topologies import random_topology


def chain(*blocks: Block, width: int = 8, size: int = 8) -> Topology:
    return Topology((1, size, size), Stem("conv3x3", width), blocks, Head("classify"), 10)


@given(st.randoms(use_true_random=False))
@settings(max_examples=200, deadline=None)
def test_dict_round_trip(rng: random.Random) -> None:
    topology = random_topology(rng)
    again = Topology.from_dict(json.loads(json.dumps(topology.to_dict())))
    assert again == topology
    assert again.key == topology.key
    assert hash(again) == hash(topology)


@given(st.randoms(use_true_random=False))
@settings(max_examples=200, deadline=None)
def test_canonical_is_a_fixed_point(rng: random.Random) -> None:
    topology = random_topology(rng)
    canonical = topology.canonical()
    assert canonical.canonical() == canonical
    assert canonical.key == topology.key


def test_a_long_skip_from_the_own_input_is_a_short_one() -> None:
    block = Block("basic", 8)
    for kind in JOINS:
        assert chain(block, replace(block, skips=Skip(kind, 1))) == chain(block, replace(block, skips=Skip(kind)))


def test_identity_blocks_vanish_and_sources_move() -> None:
    short = chain(Block("conv", 8), Block("conv", 8, skips=Skip("add", 0)))
    long = chain(Block("identity"), Block("conv", 8), Block("identity", 8), Block("conv", 8, skips=Skip("add", 1)))
    assert long.key == short.key
    assert long.canonical() == short.canonical()


def test_a_source_behind_a_vanished_block_is_the_own_input() -> None:
    """block 3 takes y[1], which is y[2]: one function, one key, and one way to align (shared activation, stride)."""
    behind = chain(Block("conv", 8), Block("identity"), Block("preact", 16, 2, Skip("add", 1)))
    direct = chain(Block("conv", 8), Block("preact", 16, 2, Skip("add")))
    assert behind.key == direct.key
    assert behind.wiring.wires[2].bypasses[0].short
    assert behind.wiring.wires[2].bypasses[0].align == direct.wiring.wires[1].bypasses[0].align


def test_what_matters_is_kept_apart() -> None:
    block = Block("basic", 16, 2, Skip("add"))
    keys = {
        chain(block).key,
        chain(replace(block, skips=())).key,
        chain(replace(block, skips=Skip("add", shortcut="pad"))).key,
        chain(replace(block, skips=Skip("concat"))).key,
        chain(replace(block, stride=1)).key,
        chain(replace(block, width=24)).key,
        chain(replace(block, op="preact")).key,
        chain(block, size=16).key,
        chain(block, Block("identity", skips=Skip("add"))).key,  # 2y, not y
    }
    assert len(keys) == 9
    assert (
        chain(Block("basic", 8, skips=Skip("add", shortcut="pad"))).key
        == chain(Block("basic", 8, skips=Skip("add"))).key
    )


def test_describe_is_one_readable_line() -> None:
    topology = chain(
        Block("basic", 8),
        Block("basic", 8, skips=Skip("add")),
        Block("conv", 16, 2, Skip("concat", 0)),
        Block("conv", 16, skips=Skip("gate", 1)),
        Block("conv", 16, skips=Skip("mul")),
    )
    assert topology.describe() == "conv3x3 8 → basic 8: · + → conv/2 16: &@0 → conv 16: ~@1 ×"
    assert repr(topology).startswith("Topology(input=(1, 8, 8), stem=Stem(op='conv3x3', width=8")


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        ([Block("conv", 8, skips=Skip("add", 5))], r"block 1 \(conv\): a skip must start before its block.*source=5"),
        (
            [Block("conv", 8), Block("attention", 8)],
            r"block 2 \(attention\): it reads sequence features, but gets image",
        ),
        ([Block("maxpool", 16)], r"block 1 \(maxpool\): it keeps its input's width 8, but got width=16"),
        ([Block("transition", 8, 16)], r"block 1 \(transition\): 1 <= size"),
        ([Block("bottleneck", 10)], r"block 1 \(bottleneck\): expansion must divide the width 10"),
        (
            [Block("grouped_bottleneck", 8, options={"expansion": 4, "groups": 4})],
            r"expansion · groups must divide the width 8, but got expansion=4, groups=4",
        ),
        ([Block("conv", 60000, skips=Skip("concat")), Block("conv", 60000, skips=Skip("concat"))], r"block 2 .*width"),
    ],
)
def test_impossible_chains_name_the_block(blocks: list[Block], message: str) -> None:
    with pytest.raises(TopologyError, match=message):
        chain(*blocks)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Block("convv", 8),
        lambda: Block("conv", 0),
        lambda: Block("conv", True),
        lambda: Block("conv", 8, stride=-2),
        lambda: Block("conv", 8, options={"kernel": 4}),
        lambda: Block("conv", 8, options={"kernel": "3"}),
        lambda: Block("conv", 8, options={"kernels": 3}),
        lambda: Block("attention", 8, options={"causal": 1}),
        lambda: Block("dense_layer", 8, stride=2),
        lambda: Skip("plus"),
        lambda: Skip("add", -1),
        lambda: Skip("add", shortcut="none"),
        lambda: Stem("conv3x3"),
        lambda: Stem("flatten", 8),
        lambda: Head("classifier"),
        lambda: Topology((8, 8), Stem("conv3x3", 8), (), Head("classify"), 10),
        lambda: Topology((1, 8, 8), Stem("conv3x3", 8), (), Head("classify"), 0),
        lambda: Topology((1, 8, 8), Stem("patch", 8, {"patch": 3}), (), Head("classify"), 10),
        lambda: Topology((1, 8, 8), Stem("conv3x3", 8), (), Head("class_token"), 10),
        lambda: Topology((64,), Stem("token", 8), (), Head("language_model"), 10),
    ],
)
def test_no_half_valid_object_exists(make) -> None:
    with pytest.raises(TopologyError) as caught:
        make()
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_an_error_suggests_the_closest_name() -> None:
    with pytest.raises(TopologyError, match="did you mean 'conv'"):
        Block("convv", 8)


HOSTILE = (
    -1,
    0,
    10**30,
    1.5,
    float("nan"),
    "8",
    "x" * 10_000,
    None,
    True,
    [],
    [1],
    {},
    {"op": "conv"},
    b"8",
    "__class__",
)


def spoil(data: dict, rng: random.Random) -> int:
    """Break one thing in one block; the number of that block."""
    number = rng.randrange(len(data["blocks"]))
    block = data["blocks"][number]
    way = rng.randrange(6)
    if way == 0:
        block["op"] = rng.choice(["conv4", "", None, 3, ["conv"], "os.system('true')", "x" * 10_000])
    elif way == 1:
        block["width"] = rng.choice([v for v in HOSTILE if v is not None])
    elif way == 2:
        block["stride"] = rng.choice([v for v in HOSTILE if v is not True])
    elif way == 3:
        later = rng.randrange(number + 1, number + 50)  # a cycle, or a node that does not exist
        source = rng.choice([later, *(v for v in HOSTILE if v is not None and v != 0)])
        block["skip"] = {"kind": rng.choice([*JOINS]), "source": source}
    elif way == 4:
        block["skip"] = rng.choice(["add", 1, [], {"kind": "plus"}, {"kind": None}, {"kind": "add", "from": 0}, {}])
    else:
        block[rng.choice(["kernel_size", "exec", "", "__init__"])] = rng.choice(HOSTILE)
    return number + 1


@pytest.mark.parametrize("seed", range(200))
def test_hostile_dicts_name_the_block(seed: int) -> None:
    rng = random.Random(seed)
    blocks = [{"op": "conv", "width": 8} for _ in range(rng.randrange(1, 6))]
    data = chain().to_dict() | {"blocks": blocks}
    number = spoil(data, rng)
    with pytest.raises(NasError, match=rf"block {number}\b"):
        Topology.from_dict(data)


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        "topology",
        {},
        {"input": [1, 8, 8]},
        chain().to_dict() | {"version": 3},
        chain().to_dict() | {"blocks": {}},
        chain().to_dict() | {"blocks": [None]},
        chain().to_dict() | {"stem": None},
        chain().to_dict() | {"outputs": "10"},
        chain().to_dict() | {"input": [1, 8, 10**9]},
        chain().to_dict() | {"extra": 1},
        chain().to_dict() | {"blocks": [{"op": "conv", "width": 8}] * 1_000_000},
    ],
    ids=range(13),
)
def test_hostile_wholes_are_refused(data: object) -> None:
    with pytest.raises(NasError):
        Topology.from_dict(data)


def test_too_many_blocks_is_said_at_once() -> None:
    with pytest.raises(TopologyError, match=f"block {MAX_BLOCKS + 1}: at most"):
        chain(*[Block("conv", 8)] * (MAX_BLOCKS + 1))
