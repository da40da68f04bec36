"""Residual units: the transformations F of ResNet, pre-activation ResNet and Wide ResNet."""

from torch import Tensor, nn
from torch.nn import functional as F

OPS = {
    "basic": {"module": "Basic", "after": "relu", "last_norm": "norm2"},
    "bottleneck": {
        "module": "Bottleneck",
        "options": {"expansion": {"default": 4, "high": 64, "divides_width": True}},
        "after": "relu",
        "last_norm": "norm3",
    },
    "preact": {"module": "PreAct", "preactivated": True},
    "preact_bottleneck": {
        "module": "PreActBottleneck",
        "options": {"expansion": {"default": 4, "high": 64, "divides_width": True}},
        "preactivated": True,
    },
}


class Basic(nn.Module):
    """F(x) = BN(conv3x3(ReLU(BN(conv3x3(x))))); ReLU follows the join (He et al. 2015, arXiv:1512.03385)."""

    def __init__(self, in_width: int, width: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_width, width, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.norm1(self.conv1(x)), inplace=True)  # (B, width, H/stride, W/stride)
        return self.norm2(self.conv2(x))


class Bottleneck(nn.Module):
    """F(x) = BN(1x1(ReLU(BN(3x3(ReLU(BN(1x1(x)))))))), the middle width/expansion wide.

    The stride is on the 3×3 convolution. ReLU follows the join (He et al. 2015, arXiv:1512.03385; "v1.5").
    """

    def __init__(self, in_width: int, width: int, stride: int = 1, expansion: int = 4) -> None:
        super().__init__()
        middle = width // expansion
        self.conv1 = nn.Conv2d(in_width, middle, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(middle)
        self.conv2 = nn.Conv2d(middle, middle, 3, stride, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(middle)
        self.conv3 = nn.Conv2d(middle, width, 1, bias=False)
        self.norm3 = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.norm1(self.conv1(x)), inplace=True)  # (B, width/expansion, H, W)
        x = F.relu(self.norm2(self.conv2(x)), inplace=True)  # (B, width/expansion, H/stride, W/stride)
        return self.norm3(self.conv3(x))


class PreAct(nn.Module):
    """F(x) = body(ReLU(BN(x))), body = conv3x3 → BN → ReLU → conv3x3 (He et al. 2016, arXiv:1603.05027).

    A projecting shortcut reads the same activated input as the body. Wide ResNet's unit, too.
    """

    def __init__(self, in_width: int, width: int, stride: int = 1) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(in_width)
        self.conv1 = nn.Conv2d(in_width, width, 3, stride, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)

    def preactivate(self, x: Tensor) -> Tensor:
        """Return ReLU(BN(x)), which the body and a projecting shortcut read."""
        return F.relu(self.norm1(x), inplace=True)

    def body(self, x: Tensor) -> Tensor:
        """Return F(x) from the activated input."""
        x = F.relu(self.norm2(self.conv1(x)), inplace=True)  # (B, width, H/stride, W/stride)
        return self.conv2(x)

    def forward(self, x: Tensor) -> Tensor:
        return self.body(self.preactivate(x))


class PreActBottleneck(nn.Module):
    """F(x) = body(ReLU(BN(x))), body = 1x1 → BN → ReLU → 3x3 → BN → ReLU → 1x1 (He et al. 2016, arXiv:1603.05027).

    The middle is width/expansion wide; a projecting shortcut reads the same activated input as the body.
    """

    def __init__(self, in_width: int, width: int, stride: int = 1, expansion: int = 4) -> None:
        super().__init__()
        middle = width // expansion
        self.norm1 = nn.BatchNorm2d(in_width)
        self.conv1 = nn.Conv2d(in_width, middle, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(middle)
        self.conv2 = nn.Conv2d(middle, middle, 3, stride, padding=1, bias=False)
        self.norm3 = nn.BatchNorm2d(middle)
        self.conv3 = nn.Conv2d(middle, width, 1, bias=False)

    def preactivate(self, x: Tensor) -> Tensor:
        """Return ReLU(BN(x)), which the body and a projecting shortcut read."""
        return F.relu(self.norm1(x), inplace=True)

    def body(self, x: Tensor) -> Tensor:
        """Return F(x) from the activated input."""
        x = F.relu(self.norm2(self.conv1(x)), inplace=True)  # (B, width/expansion, H, W)
        x = F.relu(self.norm3(self.conv2(x)), inplace=True)  # (B, width/expansion, H/stride, W/stride)
        return self.conv3(x)

    def forward(self, x: Tensor) -> Tensor:
        return self.body(self.preactivate(x))
