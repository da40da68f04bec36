"""Every topology that validates builds, and torch sees the shapes that were inferred."""

import itertools
import random
from dataclasses import replace

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nas.errors import TopologyError
from nas.network import Network, build
from nas.network.blueprint import blueprint
from nas.network.onednn import safe_onednn
from nas.network.ops.skips import Attend, Mix
from nas.network.samples import sample_inputs
from nas.topology import Topology
from nas.topology.block import Block, Head, Scale, Skip, Stem
from nas.topology.vocabulary import JOINS, OPS, SCALES
from tests.helpers.topologies import random_topology

torch.set_num_threads(1)


def batch(topology: Topology, size: int) -> torch.Tensor:
    """Return inputs as the task of such a topology would give them, the same for the same size."""
    return sample_inputs(topology, size, generator=torch.Generator().manual_seed(size))


def node_shapes(network: Network, x: torch.Tensor) -> list[tuple[int, ...]]:
    """The shape of every node's output, without the batch, as torch has it."""
    shapes: list[tuple[int, ...]] = []
    hooks = [
        module.register_forward_hook(lambda _, __, y: shapes.append(tuple(y.shape[1:])))
        for module in (network.stem, *network.blocks)
    ]
    network(x)
    for hook in hooks:
        hook.remove()
    return shapes


@given(st.randoms(use_true_random=False))
@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_what_validates_builds_and_trains(rng: random.Random) -> None:
    topology = random_topology(rng)
    network = build(topology)
    for size in (2, 3):
        network.zero_grad()
        outputs = network(batch(topology, size))
        assert outputs.shape[0] == size
        assert topology.outputs in outputs.shape[1:]
        with safe_onednn(network):
            outputs.square().mean().backward()
        assert all(p.grad is not None and p.grad.shape == p.shape for p in network.parameters())
    with torch.no_grad():
        assert node_shapes(network, batch(topology, 2)) == [shape.tensor for shape in topology.wiring.nodes]
    meta = build(topology, device="meta")
    assert [(k, v.shape) for k, v in meta.state_dict().items()] == [
        (k, v.shape) for k, v in network.state_dict().items()
    ]


@given(st.randoms(use_true_random=False), st.randoms(use_true_random=False))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@torch.no_grad()
def test_equal_keys_are_equal_functions(rng: random.Random, disguise: random.Random) -> None:
    """Soundness of the canonical key: disguise a topology without changing its key, copy weights, compare outputs."""
    topology = random_topology(rng)
    other = disguised(topology, disguise)
    assert other.key == topology.key
    one, two = build(topology).eval(), build(other).eval()
    state = one.state_dict()
    two.load_state_dict(dict(zip(two.state_dict(), state.values(), strict=True)))
    x = batch(topology, 2)
    torch.testing.assert_close(one(x), two(x), rtol=0, atol=0, equal_nan=True)


def disguised(topology: Topology, rng: random.Random) -> Topology:
    """The same function written differently: more identity blocks, shortcuts that nothing needs, numbers for `auto`."""
    blocks: list[Block] = []
    place = [0]  # the new number of each node
    for block, wire in zip(rng.choice((topology.blocks, topology.settled)), topology.wiring.wires, strict=True):
        while rng.random() < 0.3:
            blocks.append(Block("identity"))
        skips = []
        for skip, bypass in zip(block.skips, wire.bypasses, strict=True):
            source = place[bypass.source] if not bypass.short else rng.randrange(place[-1], len(blocks) + 1)
            free = bypass.align.project is None
            shortcut = rng.choice(("project", "pad")) if free else skip.shortcut
            skips.append(replace(skip, source=source, shortcut=shortcut))
        width = None if block.width == wire.input.width else block.width
        blocks.append(replace(block, width=width, skips=tuple(skips)))
        place.append(len(blocks))
    return Topology(topology.input, topology.stem, tuple(blocks), topology.head, topology.outputs)


def test_random_keys_that_meet_are_equal_functions() -> None:
    """Small chains of few words meet by themselves: every pair with one key computes one function."""
    rng = random.Random(0)
    seen: dict[str, list[Topology]] = {}
    for _ in range(3000):
        blocks = tuple(
            Block(
                rng.choice(["identity", "conv"]),
                rng.choice([None, 4]),
                1,
                rng.choice([None, Skip(rng.choice([*JOINS]), rng.choice([None, *range(n)]))]),
            )
            for n in range(rng.randrange(1, 4))
        )
        topology = Topology((1, 4, 4), Stem("conv3x3", 4), blocks, Head("classify"), 3)
        seen.setdefault(topology.key, []).append(topology)
    pairs = [(same[0], other) for same in seen.values() for other in dict.fromkeys(same) if other != same[0]]
    assert len(pairs) > 50
    x = torch.randn(2, 1, 4, 4)
    for first, second in pairs:
        one, two = build(first).eval(), build(second).eval()
        two.load_state_dict(dict(zip(two.state_dict(), one.state_dict().values(), strict=True)))
        assert torch.equal(one(x), two(x))


def test_formulas() -> None:
    """y = join(F(x), s) of every kind, by hand."""
    for kind in JOINS:
        topology = Topology((1, 4, 4), Stem("conv3x3", 4), (Block("conv", 4, skips=Skip(kind)),), Head("classify"), 3)
        network = build(topology).eval()
        block = network.blocks[0]
        x = torch.randn(2, 4, 4, 4)
        f = block.transform(x)
        gate = torch.sigmoid(block.join.conv(x)) if kind == "gate" else None
        wanted = {
            "add": f + x,
            "concat": torch.cat((x, f), 1),
            "mul": f * x,
            "gate": f if gate is None else gate * f + (1 - gate) * x,
            "mix": f,  # at its start
            "attend": (f + x) / 2,  # at its start
        }
        assert kind in wanted, f"write the formula of {kind} here, by hand"
        torch.testing.assert_close(block(x, x), wanted[kind])


@torch.no_grad()
def test_formulas_of_joins_with_weights() -> None:
    """Mixed and attended sources, with weights that are not those of their start, by hand."""
    x, y, f = (torch.randn(2, 3, 4, 4, dtype=torch.float64) for _ in range(3))
    mix = Mix(2).double()
    mix.weight.copy_(torch.tensor([0.5, -1.0, 2.0]))
    torch.testing.assert_close(mix(f, x, y), 0.5 * f - x + 2 * y)
    normalised = Mix(2, normalise=True).double()
    shares = torch.tensor([4.0, 0.0, 0.0], dtype=torch.float64).softmax(0)
    torch.testing.assert_close(normalised(f, x, y), shares[0] * f + shares[1] * x + shares[2] * y)
    attend = Attend(3).double()
    attend.weight.copy_(torch.randn(3))
    every = torch.stack((f, x, y))
    normed = every / (every.square().mean(2, keepdim=True) + 1e-6).sqrt()
    shares = (attend.weight[:, None, None] * normed).sum(2, keepdim=True).softmax(0)
    torch.testing.assert_close(attend(f, x, y), (shares * every).sum(0))


SHAPES = {"image": (4, 4, 4), "sequence": (6, 4), "vector": (4,)}


@torch.no_grad()
@pytest.mark.parametrize("layout", SHAPES)
def test_scales_multiply_the_branch_and_each_bypass(layout: str) -> None:
    """y = α·F(x) + β₁·s₁ + β₂·s₂ for every kind of factor."""
    input, stem, plain = {
        "image": ((3, 4, 4), Stem("conv3x3", 4), Block("conv", 4)),
        "sequence": ((6,), Stem("token", 4, {"vocabulary": 5}), Block("feed_forward", 4)),
        "vector": ((5,), Stem("linear", 4), Block("linear", 4)),
    }[layout]
    starts = {None: 1.0, "zero": 0.0, "learned": 1.0, "channel": 1e-5, "constant": 1.0}
    assert starts.keys() == {None, *SCALES}, "write what every kind of factor is at its start here"
    for (one, alpha), (other, beta) in itertools.product(starts.items(), repeat=2):
        scales = [None if kind is None else Scale(kind) for kind in (one, other)]
        skips = (Skip("add", scale=scales[1]), Skip("add", 0))
        blocks = (plain, replace(plain, skips=skips, branch=scales[0]))
        block = build(Topology(input, stem, blocks, Head("classify"), 3)).blocks[1]
        x, y0 = torch.randn(2, 2, *SHAPES[layout])
        torch.testing.assert_close(block(x, x, y0), alpha * block.transform(x) + beta * x + y0)


@given(st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@torch.no_grad()
def test_a_skip_that_is_added_with_the_factor_zero_changes_nothing(rng: random.Random) -> None:
    topology = random_topology(rng)
    if not topology.blocks:
        return
    number = rng.randrange(len(topology.blocks))
    block = topology.blocks[number]
    added = Skip("add", rng.choice([None, *range(number + 1)]), scale=Scale("zero"))
    blocks = list(topology.blocks)
    blocks[number] = replace(block, skips=(*block.skips, added))
    try:
        other = replace(topology, blocks=tuple(blocks))
    except TopologyError:
        return
    if topology.wiring.wires[number].vanishes:
        return
    one, two = build(topology).double().eval(), build(other).double().eval()
    state = two.state_dict() | one.state_dict()
    two.load_state_dict(state)
    x = batch(topology, 2)
    x = x.double() if x.is_floating_point() else x
    assert torch.equal(one(x), two(x))


def test_gates_start_open() -> None:
    topology = Topology((1, 4, 4), Stem("conv3x3", 4), (Block("conv", 4, skips=Skip("gate")),), Head("classify"), 3)
    assert (build(topology).blocks[0].join.conv.bias < 0).all()


def test_relu_follows_the_join_of_post_activation_units_only() -> None:
    for op in OPS:
        plans = [plan.after for plan in blueprint(_one(op)).blocks] if OPS[op].layouts[0] == "image" else []
        assert all((after is not None) == (op in ("basic", "bottleneck", "grouped_bottleneck")) for after in plans)


def _one(op: str) -> Topology:
    return Topology((1, 4, 4), Stem("conv3x3", 4), (Block(op, None, skips=Skip("add")),), Head("classify"), 3)


@pytest.mark.parametrize("kind", JOINS)
def test_a_kept_output_is_not_changed_in_place(kind: str) -> None:
    """The bypass reads y[j] long after: no op on the way may write into it."""
    blocks = (
        *(Block(op, 8) for op in ("conv", "basic", "preact", "dense_layer", "mbconv", "mbconv_se", "conv_norm_act")),
        Block("conv", 8, skips=Skip(kind, 1)),
    )
    network = build(Topology((1, 4, 4), Stem("conv3x3", 8), blocks, Head("classify"), 3)).eval()
    seen: dict[str, torch.Tensor] = {}
    network.blocks[0].register_forward_hook(lambda _, __, y: seen.update(early=y.clone(), late=y))
    network(torch.randn(2, 1, 4, 4))
    assert torch.equal(seen["early"], seen["late"])


def test_weights_are_tied() -> None:
    topology = Topology((8,), Stem("token", 16, {"vocabulary": 11}), (), Head("language_model"), 11)
    network = build(topology)
    assert network.head.decoder.weight is network.stem.token.weight
    assert network(torch.randint(11, (2, 8))).shape == (2, 8, 11)
