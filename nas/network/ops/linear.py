"""Fully-connected transformations."""

import torch
from torch import Tensor, nn

OPS = {
    "linear": {
        "module": "Linear",
        "layouts": ("vector", "sequence"),
        "options": {"activation": {"default": "relu", "choices": ("relu", "tanh")}},
        "size_rule": "keep",
    },
}


class Linear(nn.Module):
    """F(x) = a(Wx + b): a layer of a perceptron, or H(x) of a highway layer (Srivastava et al. 2015).

    Weights start as He et al. 2015 (arXiv:1502.01852) draw them for the activation.
    """

    def __init__(self, in_width: int, width: int, activation: str = "relu") -> None:
        super().__init__()
        self.linear = nn.Linear(in_width, width)
        self.activation = torch.tanh if activation == "tanh" else torch.relu
        nn.init.kaiming_normal_(self.linear.weight, nonlinearity=activation)  # type: ignore[arg-type]
        nn.init.zeros_(self.linear.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.activation(self.linear(x))  # (B, ..., width)
