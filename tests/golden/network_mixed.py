"""a winner: mixed: 215,098 parameters, (B, 1, 8, 8) -> (B, 10).

    network = load_weights("weights.safetensors")  # Network() is untrained

10 blocks: 3 add, 1 concat, 1 long add, 1 long gate, 1 mul, 3 without a skip; y2 is the
output of block 2. It needs torch, load_weights safetensors. Written by skipnas.
"""

import timeit

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Conv3x3(nn.Module):
    """ReLU(BN(conv3x3(x))), or the bare convolution with norm=False: the stem of networks for small images."""

    def __init__(
        self,
        in_width: int,
        width: int,
        stride: int = 1,
        norm: bool = True,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_width, width, 3, stride, padding=1, bias=False)
        self.norm: nn.Module = nn.Identity()
        if norm:
            self.norm = nn.Sequential(nn.BatchNorm2d(width), nn.ReLU(inplace=True))

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x))  # (B, width, H/stride, W/stride)


class Basic(nn.Module):
    """F(x) = BN(conv3x3(ReLU(BN(conv3x3(x))))); ReLU follows the join (He et al. 2015, arXiv:1512.03385)."""

    def __init__(self, in_width: int, width: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_width, width, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        # (B, width, H/stride, W/stride)
        x = F.relu(self.norm1(self.conv1(x)), inplace=True)
        return self.norm2(self.conv2(x))


class Project(nn.Module):
    """BN(1x1 convolution(s)) with the block's stride: option B of He et al. 2015 (arXiv:1512.03385)."""

    def __init__(
        self,
        in_width: int,
        width: int,
        stride: int = 1,
        norm: bool = True,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_width, width, 1, stride, bias=False)
        self.norm = nn.BatchNorm2d(width) if norm else nn.Identity()

    def forward(self, s: Tensor) -> Tensor:
        return self.norm(self.conv(s))  # (B, width, H/stride, W/stride)


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
        # (B, width, H/stride, W/stride)
        x = F.relu(self.norm2(self.conv1(x)), inplace=True)
        return self.conv2(x)

    def forward(self, x: Tensor) -> Tensor:
        return self.body(self.preactivate(x))


class Conv(nn.Module):
    """F(x) = ReLU(BN(conv(x))), a k×k convolution: a VGG layer with norm (Simonyan & Zisserman 2014)."""

    def __init__(
        self,
        in_width: int,
        width: int,
        stride: int = 1,
        kernel: int = 3,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            in_width,
            width,
            kernel,
            stride,
            padding=kernel // 2,
            bias=False,
        )
        self.norm = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.norm(self.conv(x)), inplace=True)


class Gate(nn.Module):
    """T·f + (1 − T)·s, T = sigmoid(conv(x) + b) at the resolution of f (Srivastava et al. 2015, arXiv:1505.00387).

    x is the block's input. At the start T = sigmoid(bias) for every x: a bias below 0 opens the bypass.
    """

    def __init__(
        self,
        in_width: int,
        width: int,
        kernel: int = 1,
        stride: int = 1,
        bias: float = -2.0,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_width, width, kernel, stride, padding=kernel // 2)
        nn.init.zeros_(self.conv.weight)
        nn.init.constant_(self.conv.bias, bias)  # type: ignore[arg-type]

    def forward(self, f: Tensor, s: Tensor, x: Tensor) -> Tensor:
        gate = torch.sigmoid(self.conv(x))  # (B, width, H/stride, W/stride)
        if gate.shape[2:] != f.shape[2:]:
            gate = F.interpolate(gate, size=f.shape[2:], mode="nearest")
        return torch.lerp(s, f.to(s.dtype), gate.to(s.dtype))


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
            nn.Conv2d(
                middle,
                middle,
                kernel,
                stride,
                padding=kernel // 2,
                groups=middle,
                bias=False,
            ),
            nn.BatchNorm2d(middle),
            self._activation(activation),
        )
        self.project = nn.Sequential(
            nn.Conv2d(middle, width, 1, bias=False),
            nn.BatchNorm2d(width),
        )

    @staticmethod
    def _activation(name: str) -> nn.Module:
        return nn.ReLU6(inplace=True) if name == "relu6" else nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        # (B, in_width·expansion, H/stride, W/stride)
        x = self.depthwise(self.expand(x))
        return self.project(x)


class ZeroPad(nn.Module):
    """s at every stride-th pixel, with `extra` channels of zeros behind: option A of He et al. 2015."""

    def __init__(self, extra: int, stride: int = 1) -> None:
        super().__init__()
        self.extra, self.stride = extra, stride

    def forward(self, s: Tensor) -> Tensor:
        s = s[:, :, :: self.stride, :: self.stride]
        # (B, C + extra, H/stride, W/stride)
        return F.pad(s, (0, 0, 0, 0, 0, self.extra))


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = Conv3x3(1, 16)
        self.block1 = Basic(16, 16)
        self.block2 = Basic(32, 16)
        self.project2 = Project(32, 16)
        self.block3 = PreAct(16, 32, stride=2)
        self.project3 = Project(16, 32, stride=2, norm=False)
        self.blocks4_6 = nn.Sequential(*(Conv(32, 32) for _ in range(3)))
        self.block7 = Conv(32, 32)
        self.project7 = Project(16, 32)
        self.gate7 = Gate(32, 32, kernel=3)
        self.block8 = MBConv(32, 32, kernel=5, expansion=3, activation="relu6")
        self.block9 = Basic(32, 64, stride=2)
        self.project9 = ZeroPad(32, stride=2)
        self.block10 = Basic(64, 64)
        self.project10 = Project(32, 64)
        self.head = nn.Linear(64, 10)
        for m in self.modules():
            if isinstance(m, nn.Conv2d) and m.bias is None:  # He et al. 2015
                nn.init.normal_(
                    m.weight,
                    std=(2 * m.groups / m.weight[:, 0].numel()) ** 0.5,
                )

    def forward_features(self, x: Tensor) -> Tensor:
        x = self.stem(x)  # (B, 16, 8, 8)
        x = F.relu_(torch.cat((x, self.block1(x)), 1))  # concat: (B, 32, 8, 8)
        x = y2 = F.relu_(self.block2(x) + self.project2(x))  # add: (B, 16, 8, 8)
        a = self.block3.preactivate(x)
        x = y3 = self.block3.body(a) + self.project3(a)  # add: (B, 32, 4, 4)
        x = self.blocks4_6(x)  # (B, 32, 4, 4)
        f = self.block7(x)
        s = F.adaptive_avg_pool2d(y2, (f.shape[2], f.shape[3]))
        x = self.gate7(f, self.project7(s), x)  # gate y2: (B, 32, 4, 4)
        x = self.block8(x) * x  # mul: (B, 32, 4, 4)
        x = F.relu_(self.block9(x) + self.project9(x))  # add: (B, 64, 2, 2)
        f = self.block10(x)
        s = F.adaptive_avg_pool2d(y3, (f.shape[2], f.shape[3]))
        return F.relu_(f + self.project10(s))  # add y3: (B, 64, 2, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.forward_features(x).mean((2, 3)))  # (B, 10)

    def reset_classifier(self, num_classes: int) -> None:
        """Replace the last layer by an untrained one for another number of classes."""
        self.head = nn.Linear(64, num_classes).to(self.head.weight)


def load_weights(path: str) -> Network:
    """Return the network in eval mode, with the weights of a .safetensors file."""
    from safetensors.torch import load_file

    network = Network()
    network.load_state_dict(load_file(path), strict=True)
    return network.eval()


TOPOLOGY = """
{"version":1,"input":[1,8,8],"stem":{"op":"conv3x3","width":16,"norm":true,"stride":1},"blocks":[{"op":"basic","width":16,"skip":{"kind":"concat"}},{"op":"basic","width":16,"skip":{"kind":"add"}},{"op":"preact","width":32,"stride":2,"skip":{"kind":"add"}},{"op":"conv","width":32,"kernel":3},{"op":"conv","width":32,"kernel":3},{"op":"conv","width":32,"kernel":3},{"op":"conv","width":32,"skip":{"kind":"gate","source":2},"kernel":3},{"op":"mbconv","width":32,"skip":{"kind":"mul"},"activation":"relu6","expansion":3,"kernel":5},{"op":"basic","width":64,"stride":2,"skip":{"kind":"add","shortcut":"pad"}},{"op":"basic","width":64,"skip":{"kind":"add","source":3}}],"head":{"op":"classify"},"outputs":10}
"""

if __name__ == "__main__":
    network, x = Network().eval(), torch.randn(1, 1, 8, 8)
    for name, part in (*network.named_children(), ("total", network)):
        print(f"{name:14}{sum(p.numel() for p in part.parameters()):>14,}")
    with torch.inference_mode():
        ms = 1000 * min(timeit.repeat(lambda: network(x), number=1, repeat=3))
        print(f"{tuple(x.shape)} -> {tuple(network(x).shape)} in {ms:.1f} ms")
