"""Random inputs of the shape and type that a topology reads."""

from __future__ import annotations

import torch
from torch import Tensor

from nas.topology import Topology
from nas.topology.block import options_of
from nas.topology.vocabulary import STEMS


def sample_inputs(
    topology: Topology,
    batch: int,
    *,
    tokens: int | None = None,
    dtype: torch.dtype = torch.float32,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Return a batch (B, *topology.input): numbers of N(0, 1), or whole numbers below the vocabulary.

    tokens     the length of the sequences, for a topology that reads tokens; its context unless given
    dtype      of the numbers; tokens are int64
    generator  the source of the randomness; torch's own unless given
    """
    stem = topology.stem
    if not STEMS[stem.op].reads_tokens:
        return torch.randn(batch, *topology.input, dtype=dtype, generator=generator)
    length = topology.input[0] if tokens is None else tokens
    return torch.randint(int(options_of(stem)["vocabulary"]), (batch, length), generator=generator)
