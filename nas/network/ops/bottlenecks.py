"""Inverted bottlenecks of MobileNetV2 and EfficientNet, and grouped ones of ResNeXt and RegNet."""

from torch import Tensor, nn
from torch.nn import functional as F

OPS = {
    "mbconv": {
        "module": "MBConv",
        "options": {
            "kernel": {"default": 3, "high": 31, "odd": True},
            "expansion": {"default": 6, "high": 16},
            "activation": {"default": "relu", "choices": ("relu", "relu6")},
        },
        "last_norm": "project.1",
    },
    "grouped_bottleneck": {
        "module": "GroupedBottleneck",
        "options": {
            "expansion": {"default": 1, "high": 64, "divides_width": True},
            "groups": {"default": 4, "high": 1024, "divides_width": True},
            "reduction": {"default": 0, "low": 0, "high": 64},
        },
        "after": "relu",
        "last_norm": "norm3",
    },
    "mbconv_se": {
        "module": "MBConvSE",
        "options": {
            "kernel": {"default": 3, "high": 31, "odd": True},
            "expansion": {"default": 6, "high": 16},
            "activation": {"default": "silu", "choices": ("silu", "relu")},
            "reduction": {"default": 4, "high": 64},
        },
        "last_norm": "project.1",
    },
}


class SqueezeExcitation(nn.Module):
    """x · σ(W₂ a(W₁ · mean over the pixels of x)), `middle` wide between W₁ and W₂ (Hu et al. 2018, arXiv:1709.01507).

    Weights start as He et al. 2015 (arXiv:1502.01852) draw them, by fan out.
    """

    def __init__(self, width: int, middle: int, activation: str = "relu") -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(width, middle, 1)
        self.activation = nn.SiLU() if activation == "silu" else nn.ReLU(inplace=True)
        self.excite = nn.Conv2d(middle, width, 1)
        for layer in (self.squeeze, self.excite):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out")
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        scale = self.squeeze(x.mean((2, 3), keepdim=True))  # (B, middle, 1, 1)
        return x * self.excite(self.activation(scale)).sigmoid()


class GroupedBottleneck(nn.Module):
    """F(x) = BN(1x1(SE(ReLU(BN(3x3(ReLU(BN(1x1(x))))))))), the 3×3 convolution in groups, width/expansion wide.

    ResNeXt (Xie et al. 2017, arXiv:1611.05431), and with SE RegNetY (Radosavovic et al. 2020, arXiv:2003.13678): it
    squeezes to in_width/reduction channels; reduction=0 has no SE. ReLU follows the join.
    """

    def __init__(
        self,
        in_width: int,
        width: int,
        stride: int = 1,
        expansion: int = 1,
        groups: int = 4,
        reduction: int = 0,
    ) -> None:
        super().__init__()
        middle = width // expansion
        self.conv1 = nn.Conv2d(in_width, middle, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(middle)
        self.conv2 = nn.Conv2d(middle, middle, 3, stride, padding=1, groups=groups, bias=False)
        self.norm2 = nn.BatchNorm2d(middle)
        self.se: nn.Module = nn.Identity()
        if reduction:
            self.se = SqueezeExcitation(middle, max(1, in_width // reduction))
        self.conv3 = nn.Conv2d(middle, width, 1, bias=False)
        self.norm3 = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.norm1(self.conv1(x)), inplace=True)  # (B, width/expansion, H, W)
        x = F.relu(self.norm2(self.conv2(x)), inplace=True)  # (B, width/expansion, H/stride, W/stride)
        return self.norm3(self.conv3(self.se(x)))


class MBConv(nn.Module):
    """F(x) = BN(1x1(a(BN(depthwise k×k(a(BN(1x1(x)))))))): an inverted bottleneck, expansion times wide inside.

    Sandler et al. 2018 (MobileNetV2, arXiv:1801.04381). expansion=1 has no first convolution.
    """

    def __init__(
        self,
        in_width: int,
        width: int,
        stride: int = 1,
        kernel: int = 3,
        expansion: int = 6,
        activation: str = "relu",
    ) -> None:
        super().__init__()
        middle = in_width * expansion
        self.expand: nn.Module = nn.Identity()
        if expansion != 1:
            self.expand = nn.Sequential(
                nn.Conv2d(in_width, middle, 1, bias=False),
                nn.BatchNorm2d(middle),
                self._activation(activation),
            )
        self.depthwise = nn.Sequential(
            nn.Conv2d(middle, middle, kernel, stride, padding=kernel // 2, groups=middle, bias=False),
            nn.BatchNorm2d(middle),
            self._activation(activation),
        )
        self.project = nn.Sequential(nn.Conv2d(middle, width, 1, bias=False), nn.BatchNorm2d(width))

    @staticmethod
    def _activation(name: str) -> nn.Module:
        return nn.ReLU6(inplace=True) if name == "relu6" else nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        x = self.depthwise(self.expand(x))  # (B, in_width·expansion, H/stride, W/stride)
        return self.project(x)


class MBConvSE(MBConv):
    """F(x) = BN(1x1(SE(a(BN(depthwise k×k(a(BN(1x1(x))))))))): an inverted bottleneck with squeeze-and-excitation.

    EfficientNet (Tan & Le 2019, arXiv:1905.11946): expansion times wide inside, squeezed to in_width/reduction
    channels. expansion=1 has no first convolution.
    """

    def __init__(
        self,
        in_width: int,
        width: int,
        stride: int = 1,
        kernel: int = 3,
        expansion: int = 6,
        activation: str = "silu",
        reduction: int = 4,
    ) -> None:
        super().__init__(in_width, width, stride, kernel, expansion, activation)
        self.se = SqueezeExcitation(in_width * expansion, max(1, in_width // reduction), activation)

    @staticmethod
    def _activation(name: str) -> nn.Module:
        return nn.SiLU() if name == "silu" else nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        x = self.depthwise(self.expand(x))  # (B, in_width·expansion, H/stride, W/stride)
        return self.project(self.se(x))
