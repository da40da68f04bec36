"""How a network starts: every module draws its own weights, and some depend on the network as a whole. No torch.

convolution without a bias                  N(0, 2 / fan out), fan out = k² · outputs / groups: He et al. 2015
                                            (arXiv:1502.01852); so is a depthwise one
up-convolution of U-Net                     N(0, 2 / inputs of an output): Ronneberger et al. 2015 (arXiv:1505.04597)
linear, also as a stem                      N(0, gain² / inputs): He et al. 2015 with gain² = 2 for ReLU, 25/9 for tanh
gate                                        0, so that T = sigmoid(bias) for every input; below 0 the bypass is open:
                                            Srivastava et al. 2015 (arXiv:1505.00387)
convnext, downsample, patchify,             N(0, 0.02²), layer scale 1e-6: Liu et al. 2022 (arXiv:2201.03545)
pool_norm_classify
maps of a squeeze-and-excitation            N(0, 2 / outputs): He et al. 2015
attention, feed_forward                     Glorot's uniform, as torch's MultiheadAttention (whose last map is torch's
                                            own) and ViT: Dosovitskiy et al. 2021 (arXiv:2010.11929)
  in a chain that reads tokens              N(0, 0.02²), and the map that ends a residual branch N(0, 0.02² / N), N the
                                            number of residual branches: GPT-2 (Radford et al. 2019)
patch projection, class token, its head     N(0, 1 / inputs), 0, 0: ViT
embeddings of tokens and positions          N(0, 0.02²): GPT-2, ViT; also the map of features to their width
norm_classify                               torch's own, without a bias: torchvision's DenseNet
norms                                       weight 1, bias 0
everything else (the linear map of a shortcut, a convolution with a bias, other heads)      torch's own

Biases are 0 where weights are not torch's own. The recipe's `init` chooses for convolutions without a bias, `he` or
`torch`, and with `zero_residual` a residual branch that ends in a norm (basic, bottleneck, grouped_bottleneck, mbconv,
mbconv_se) starts it at 0, so that the branch adds nothing at first (Goyal et al. 2017, arXiv:1706.02677).
"""

from __future__ import annotations

from dataclasses import dataclass

from nas.errors import TopologyError, expected
from nas.topology import Topology
from nas.topology.vocabulary import OPS, STEMS

INITS = ("he", "torch", "zero_residual")
GPT2_STD = 0.02


@dataclass(frozen=True, slots=True)
class LayerStart:
    """The start of one layer of a block's F: its weights are drawn from N(0, std² / branches).

    layer     the name of the layer in the class that computes F
    branches  the number of residual branches that add up, where the layer ends one of them; else 1
    """

    layer: str
    std: float
    branches: int = 1

    @property
    def text(self) -> str:
        """The code that computes σ: `0.02 / 24**0.5`."""
        return repr(self.std) if self.branches == 1 else f"{self.std!r} / {self.branches}**0.5"

    @property
    def sigma(self) -> float:
        """The standard deviation σ of the weights."""
        return self.std if self.branches == 1 else self.std / self.branches**0.5


def layer_starts(topology: Topology, init: str = "he") -> tuple[tuple[LayerStart, ...], ...]:
    """Return, for every block, the layers whose start depends on the network as a whole: see the table above.

    Raises TopologyError for an unknown `init`.
    """
    if init not in INITS:
        raise TopologyError(expected("init", init, INITS))
    reads_tokens = STEMS[topology.stem.op].reads_tokens
    residual = [any(skip.residual for skip in block.skips) for block in topology.blocks]
    starts = []
    for block, adds in zip(topology.blocks, residual, strict=True):
        op, found = OPS[block.op], list[LayerStart]()
        if reads_tokens and op.linear_maps:
            found = [LayerStart(layer, GPT2_STD) for layer in op.linear_maps]
            if adds:
                found[-1] = LayerStart(op.linear_maps[-1], GPT2_STD, sum(residual))
        if init == "zero_residual" and adds and op.last_norm is not None:
            found.append(LayerStart(op.last_norm, 0.0))
        starts.append(tuple(found))
    return tuple(starts)
