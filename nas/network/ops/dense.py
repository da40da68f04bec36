"""The layers of DenseNet (Huang et al. 2017, arXiv:1608.06993); their skip is `concat`."""

from torch import Tensor, nn
from torch.nn import functional as F

OPS = {
    "dense_layer": {
        "module": "DenseLayer",
        "options": {"bottleneck": {"default": 4, "high": 64}},
        "size_rule": "keep",
    },
    "dense_layer_plain": {"module": "DenseLayerPlain", "size_rule": "keep"},
    "transition": {"module": "Transition", "size_rule": "floor"},
}


class DenseLayer(nn.Module):
    """F(x) = 3x3(ReLU(BN(1x1(ReLU(BN(x)))))), bottleneck·width wide in between: DenseNet-B's layer."""

    def __init__(self, in_width: int, width: int, bottleneck: int = 4) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(in_width)
        self.conv1 = nn.Conv2d(in_width, bottleneck * width, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(bottleneck * width)
        self.conv2 = nn.Conv2d(bottleneck * width, width, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1(F.relu(self.norm1(x), inplace=True))  # (B, bottleneck·width, H, W)
        return self.conv2(F.relu(self.norm2(x), inplace=True))


class DenseLayerPlain(nn.Module):
    """F(x) = 3x3(ReLU(BN(x))): DenseNet's layer without a bottleneck."""

    def __init__(self, in_width: int, width: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(in_width)
        self.conv = nn.Conv2d(in_width, width, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.relu(self.norm(x), inplace=True))


class Transition(nn.Module):
    """F(x) = average pool(1x1(ReLU(BN(x)))): between two dense blocks."""

    def __init__(self, in_width: int, width: int, stride: int = 1) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(in_width)
        self.conv = nn.Conv2d(in_width, width, 1, bias=False)
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(F.relu(self.norm(x), inplace=True))
        return F.avg_pool2d(x, self.stride)  # (B, width, H/stride, W/stride)
