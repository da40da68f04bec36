"""Stems, which turn the input into the first features, y[0]."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

STEMS = {
    "conv3x3": {
        "module": "Conv3x3",
        "shape_rule": "convolved",
        "options": {"stride": {"default": 1, "high": 4}, "norm": {"default": True}},
    },
    "conv_norm_act": {
        "module": "ConvNormAct",
        "shape_rule": "convolved",
        "options": {
            "stride": {"default": 1, "high": 4},
            "activation": {"default": "silu", "choices": ("silu", "relu6")},
        },
    },
    "conv7x7_pool": {"module": "Conv7x7Pool", "shape_rule": "pooled"},
    "patchify": {
        "module": "Patchify",
        "shape_rule": "patchified",
        "options": {"patch": {"default": 4, "high": 256}},
    },
    "patch": {
        "module": "Patch",
        "shape_rule": "patches",
        "options": {"patch": {"default": 16, "high": 256}, "class_token": {"default": True}},
    },
    "token": {
        "module": "Token",
        "shape_rule": "tokens",
        "options": {"vocabulary": {"default": 256, "low": 2, "high": 1048576}},
    },
    "linear": {
        "module": "LinearStem",
        "shape_rule": "flat",
        "options": {"activation": {"default": "relu", "choices": ("relu", "tanh")}},
    },
    "flatten": {"module": "Flatten", "shape_rule": "flat", "fixed_width": True},
    "identity": {"module": "Input", "shape_rule": "input", "fixed_width": True},
}


class Conv3x3(nn.Module):
    """ReLU(BN(conv3x3(x))), or the bare convolution with norm=False: the stem of networks for small images."""

    def __init__(self, in_width: int, width: int, stride: int = 1, norm: bool = True) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_width, width, 3, stride, padding=1, bias=False)
        self.norm: nn.Module = nn.Identity()
        if norm:
            self.norm = nn.Sequential(nn.BatchNorm2d(width), nn.ReLU(inplace=True))

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x))  # (B, width, H/stride, W/stride)


class Conv7x7Pool(nn.Module):
    """max pool 3x3/2(ReLU(BN(conv7x7/2(x)))): the stem of ResNet and DenseNet on ImageNet."""

    def __init__(self, in_width: int, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_width, width, 7, 2, padding=3, bias=False)
        self.norm = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.norm(self.conv(x)), inplace=True)  # (B, width, H/2, W/2)
        return F.max_pool2d(x, 3, stride=2, padding=1)  # (B, width, H/4, W/4)


class Patchify(nn.Module):
    """LN(conv(x)), a patch of the image at every pixel of the features: the stem of ConvNeXt.

    Liu et al. 2022 (arXiv:2201.03545). Weights start at N(0, 0.02²).
    """

    def __init__(self, in_width: int, width: int, patch: int = 4) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_width, width, patch, patch)
        self.norm = nn.LayerNorm(width, eps=1e-6)
        nn.init.normal_(self.conv.weight, std=0.02)
        nn.init.zeros_(self.conv.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.conv(x).permute(0, 2, 3, 1))  # (B, H/patch, W/patch, width)
        return x.permute(0, 3, 1, 2)


class Patch(nn.Module):
    """[class token, patches · W] + positions: the stem of ViT (Dosovitskiy et al. 2021, arXiv:2010.11929)."""

    def __init__(self, in_width: int, width: int, patch: int, tokens: int, class_token: bool = True) -> None:
        super().__init__()
        self.projection = nn.Conv2d(in_width, width, patch, patch)
        nn.init.normal_(self.projection.weight, std=(in_width * patch**2) ** -0.5)
        nn.init.zeros_(self.projection.bias)  # type: ignore[arg-type]
        token = nn.Parameter(torch.zeros(1, 1, width)) if class_token else None
        self.class_token = token
        self.position = nn.Parameter(torch.empty(1, tokens, width).normal_(std=0.02))

    def forward(self, x: Tensor) -> Tensor:
        x = self.projection(x).flatten(2).transpose(1, 2)  # (B, H·W/patch², width)
        if self.class_token is not None:
            x = torch.cat((self.class_token.expand(x.shape[0], -1, -1), x), 1)
        return x + self.position  # (B, T, width)


class Token(nn.Module):
    """embedding(token) + embedding(position): the stem of GPT-2 (Radford et al. 2019)."""

    def __init__(self, vocabulary: int, width: int, context: int) -> None:
        super().__init__()
        self.token = nn.Embedding(vocabulary, width)
        nn.init.normal_(self.token.weight, std=0.02)
        self.position = nn.Parameter(torch.empty(context, width).normal_(std=0.02))

    def forward(self, x: Tensor) -> Tensor:
        return self.token(x) + self.position[: x.shape[1]]  # (B, T, width)


class LinearStem(nn.Module):
    """a(Wx + b) of the flattened input: the first layer of a perceptron."""

    def __init__(self, in_width: int, width: int, activation: str = "relu") -> None:
        super().__init__()
        self.linear = nn.Linear(in_width, width)
        self.activation = torch.tanh if activation == "tanh" else torch.relu
        nn.init.kaiming_normal_(self.linear.weight, nonlinearity=activation)  # type: ignore[arg-type]
        nn.init.zeros_(self.linear.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.activation(self.linear(x.flatten(1)))  # (B, width)


class Flatten(nn.Module):
    """The input as one vector."""

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1)  # (B, D)


class Input(nn.Module):
    """The input as it is."""

    def forward(self, x: Tensor) -> Tensor:
        return x
