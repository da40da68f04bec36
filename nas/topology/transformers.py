"""Language models that differ from GPT-2 in their skips: DenseFormer, ReZero, DeepNorm, attention residuals. No torch.

All are decoder-only, as wide and as deep as GPT-2 of the same size, so that they can be compared with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from types import MappingProxyType
from typing import Any

from nas.errors import TopologyError, expected
from nas.topology.block import Block, Head, Scale, Skip, Stem
from nas.topology.geometry import Options
from nas.topology.topology import Topology

# size → layers, width, heads: table 2 of Radford et al. 2019
GPT2S = {"small": (12, 768, 12), "medium": (24, 1024, 16), "large": (36, 1280, 20), "xl": (48, 1600, 25)}
ADD = Skip("add")
Context = tuple[int, ...]


def gpt2(size: str = "small", *, input: Context | None = None, outputs: int | None = None) -> Topology:
    """Return GPT-2 of size small, medium, large or xl (Radford et al. 2019).

    `input` is the context (T,), `outputs` the size of the vocabulary.
    """
    layers, width, heads = _size("gpt2", size)
    return _decoder(layer(width, heads) * layers, width, input, outputs)


def denseformer(
    size: str = "small", period: int = 1, *, input: Context | None = None, outputs: int | None = None
) -> Topology:
    """Return a DenseFormer (Pagliardini et al. 2024, arXiv:2402.02622).

    After every `period`-th layer stands a weighted mean of its output, of those of all layers before it and of the
    embedding, whose learned weights start as those of the last output alone.
    """
    layers, width, heads = _size("denseformer", size)
    if type(period) is not int or not 1 <= period <= layers:
        raise TopologyError(f"1 <= period <= {layers} must hold for a whole number, but got {period!r}"[:200])
    return _decoder(averaged(layer(width, heads), layers, "mix", period), width, input, outputs)


def attention_residuals(size: str = "small", *, input: Context | None = None, outputs: int | None = None) -> Topology:
    """Return a Transformer with attention over depth after every layer (Yin et al. 2026, arXiv:2603.15031).

    Every position weighs the outputs of all layers before it, and the embedding, for itself.
    """
    layers, width, heads = _size("attention_residuals", size)
    return _decoder(averaged(layer(width, heads), layers, "attend"), width, input, outputs)


def rezero_transformer(size: str = "small", *, input: Context | None = None, outputs: int | None = None) -> Topology:
    """Return a Transformer without norms in its layers, x + α·F(x) with α = 0 at the start.

    It is that of Bachlechner et al. 2020 (arXiv:2003.04887), with GPT-2's last norm.
    """
    layers, width, heads = _size("rezero_transformer", size)
    blocks = layer(width, heads, {"norm": "none"}, branch=Scale("zero"))
    return _decoder(blocks * layers, width, input, outputs)


def deepnorm_transformer(size: str = "small", *, input: Context | None = None, outputs: int | None = None) -> Topology:
    """Return a post-norm Transformer, LN(α·x + F(x)) with a constant α that grows with depth.

    It is that of Wang et al. 2022 (DeepNet, arXiv:2203.00555), but for the start of its weights.
    """
    layers, width, heads = _size("deepnorm_transformer", size)
    skip = Skip("add", scale=Scale("constant", {"value": "auto"}))
    return _decoder(layer(width, heads, {"norm": "post"}, skip) * layers, width, input, outputs)


def layer(
    width: int,
    heads: int,
    options: Options = MappingProxyType({}),
    skip: Skip | None = ADD,
    branch: Scale | None = None,
) -> tuple[Block, Block]:
    """Return one layer: causal attention and a feed-forward map, each with these options, this skip and this factor."""
    attention = Block("attention", width, 1, skip, {"heads": heads, "causal": True, **options}, branch)
    return attention, Block("feed_forward", width, 1, skip, {"activation": "gelu_tanh", **options}, branch)


def averaged(blocks: Sequence[Block], layers: int, kind: str, period: int = 1) -> tuple[Block, ...]:
    """Return a chain of `layers` layers of these blocks, with a join of all their outputs after every `period`-th.

    kind  of the join, which reads the outputs of all layers before it, and node 0
    """
    chain: list[Block] = []
    ends = [0]
    for number in range(1, layers + 1):
        chain += blocks
        ends.append(len(chain))
        if number % period == 0:
            chain.append(Block("identity", skips=[Skip(kind, source) for source in ends[:-1]]))
    return tuple(chain)


def _decoder(blocks: Iterable[Block], width: int, input: Context | None, outputs: int | None) -> Topology:
    vocabulary = outputs or 50257
    stem = Stem("token", width, {"vocabulary": vocabulary})
    return Topology(input or (1024,), stem, tuple(blocks), Head("language_model"), vocabulary)


def _size(name: str, size: Any) -> tuple[int, int, int]:
    if size not in GPT2S:
        raise TopologyError(expected(f"size of {name}", size, GPT2S))
    return GPT2S[size]
