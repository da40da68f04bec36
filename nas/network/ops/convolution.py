"""Convolutional transformations F that are no residual units, and transformations that change the resolution."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

OPS = {
    "identity": {
        "module": "nn.Identity",
        "layouts": ("vector", "sequence", "image"),
        "size_rule": "sample",
        "arguments": "projection",
        "is_identity": True,
    },
    "conv": {"module": "Conv", "options": {"kernel": {"default": 3, "high": 31, "odd": True}}, "gate_kernel": True},
    "double_conv": {
        "module": "DoubleConv",
        "options": {"middle": {"default": 0, "low": 0, "high": 65536}},
        "size_rule": "keep",
    },
    "upconv": {
        "module": "UpConv",
        "options": {
            "scale": {"default": 2, "low": 2, "high": 8},
            "up": {"default": "transposed", "choices": ("transposed", "bilinear", "nearest")},
        },
        "size_rule": "grow",
    },
    "maxpool": {
        "module": "nn.MaxPool2d",
        "options": {"kernel": {"default": 3, "high": 31}},
        "arguments": "window",
        "keeps_width": True,
    },
    "avgpool": {
        "module": "nn.AvgPool2d",
        "options": {"kernel": {"default": 3, "high": 31}},
        "arguments": "window",
        "keeps_width": True,
    },
    "separable_conv": {
        "module": "SeparableConv",
        "options": {"kernel": {"default": 3, "high": 31, "odd": True}},
    },
    "convnext": {
        "module": "ConvNeXt",
        "options": {"kernel": {"default": 7, "high": 31, "odd": True}, "expansion": {"default": 4, "high": 16}},
    },
    "downsample": {"module": "Downsample", "size_rule": "floor"},
    "conv_norm_act": {
        "module": "ConvNormAct",
        "options": {
            "kernel": {"default": 3, "high": 31, "odd": True},
            "activation": {"default": "silu", "choices": ("silu", "relu6")},
        },
    },
}


class Conv(nn.Module):
    """F(x) = ReLU(BN(conv(x))), a k×k convolution: a VGG layer with norm (Simonyan & Zisserman 2014)."""

    def __init__(self, in_width: int, width: int, stride: int = 1, kernel: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_width, width, kernel, stride, padding=kernel // 2, bias=False)
        self.norm = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.norm(self.conv(x)), inplace=True)


class SeparableConv(nn.Module):
    """F(x) = ReLU(BN(1x1(depthwise k×k(x)))): a depthwise separable convolution (Chollet 2017, arXiv:1610.02357)."""

    def __init__(self, in_width: int, width: int, stride: int = 1, kernel: int = 3) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(in_width, in_width, kernel, stride, kernel // 2, groups=in_width, bias=False)
        self.pointwise = nn.Conv2d(in_width, width, 1, bias=False)
        self.norm = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.norm(self.pointwise(self.depthwise(x))), inplace=True)


class DoubleConv(nn.Module):
    """F(x) = ReLU(BN(3x3(ReLU(BN(3x3(x)))))): a level of U-Net, with norm (Ronneberger et al. 2015).

    The width between the two convolutions is `middle`; 0 means `width`.
    """

    def __init__(self, in_width: int, width: int, middle: int = 0) -> None:
        super().__init__()
        middle = middle or width
        self.conv1 = nn.Conv2d(in_width, middle, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(middle)
        self.conv2 = nn.Conv2d(middle, width, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.norm1(self.conv1(x)), inplace=True)  # (B, middle, H, W)
        return F.relu(self.norm2(self.conv2(x)), inplace=True)


class UpConv(nn.Module):
    """F(x) = x at `scale` times the resolution: a transposed convolution, or interpolation and a 1×1 convolution.

    The up-convolution of U-Net (Ronneberger et al. 2015, arXiv:1505.04597), which starts at N(0, 2 / inputs of an
    output). An interpolation that keeps the width has no parameters.
    """

    def __init__(self, in_width: int, width: int, scale: int = 2, up: str = "transposed") -> None:
        super().__init__()
        self.up: nn.Module
        if up == "transposed":
            self.up = nn.ConvTranspose2d(in_width, width, scale, stride=scale)
            nn.init.normal_(self.up.weight, std=(2 / in_width) ** 0.5)
            nn.init.zeros_(self.up.bias)  # type: ignore[arg-type]
        else:
            corners = True if up == "bilinear" else None
            self.up = nn.Upsample(scale_factor=scale, mode=up, align_corners=corners)
        fits = up == "transposed" or in_width == width
        self.fit = nn.Identity() if fits else nn.Conv2d(in_width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.up(self.fit(x))  # (B, width, H·scale, W·scale)


class ConvNeXt(nn.Module):
    """F(x) = γ · (W₂ GELU(W₁ LN(depthwise k×k(x)))), W₁ expansion times wide (Liu et al. 2022, arXiv:2201.03545).

    Weights start at N(0, 0.02²), and γ at 1e-6.
    """

    def __init__(self, in_width: int, width: int, stride: int = 1, kernel: int = 7, expansion: int = 4) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(in_width, in_width, kernel, stride, padding=kernel // 2, groups=in_width)
        self.norm = nn.LayerNorm(in_width, eps=1e-6)
        self.expand = nn.Linear(in_width, expansion * width)
        self.project = nn.Linear(expansion * width, width)
        self.scale = nn.Parameter(torch.full((width,), 1e-6))
        for layer in (self.depthwise, self.expand, self.project):
            nn.init.normal_(layer.weight, std=0.02)
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        x = self.depthwise(x).permute(0, 2, 3, 1)  # (B, H/stride, W/stride, in_width)
        x = self.scale * self.project(F.gelu(self.expand(self.norm(x))))  # (B, H/stride, W/stride, width)
        return x.permute(0, 3, 1, 2)


class Downsample(nn.Module):
    """F(x) = conv(LN(x)), the windows of the convolution as large as the stride: ConvNeXt's layer between two stages.

    Liu et al. 2022 (arXiv:2201.03545). Weights start at N(0, 0.02²).
    """

    def __init__(self, in_width: int, width: int, stride: int = 1) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(in_width, eps=1e-6)
        self.conv = nn.Conv2d(in_width, width, stride, stride)
        nn.init.normal_(self.conv.weight, std=0.02)
        nn.init.zeros_(self.conv.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(x.permute(0, 2, 3, 1))  # (B, H, W, in_width)
        return self.conv(x.permute(0, 3, 1, 2))  # (B, width, H/stride, W/stride)


class ConvNormAct(nn.Module):
    """F(x) = a(BN(conv(x))), a k×k convolution: the first and the last layer of MobileNetV2 and of EfficientNet."""

    def __init__(self, in_width: int, width: int, stride: int = 1, kernel: int = 3, activation: str = "silu") -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_width, width, kernel, stride, padding=kernel // 2, bias=False)
        self.norm = nn.BatchNorm2d(width)
        self.activation = nn.ReLU6(inplace=True) if activation == "relu6" else nn.SiLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.activation(self.norm(self.conv(x)))  # (B, width, H/stride, W/stride)
