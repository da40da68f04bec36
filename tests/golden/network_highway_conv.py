"""highway_conv: 991,754 parameters, (B, 3, 32, 32) -> (B, 10).

    network = load_weights("weights.safetensors")  # Network() is untrained

11 blocks: 9 gate, 2 without a skip. It needs torch, load_weights safetensors. Written
by skipnas.
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


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = Conv3x3(3, 32)
        self.blocks1_3 = nn.ModuleList(Conv(32, 32) for _ in range(3))
        self.gates1_3 = nn.ModuleList(Gate(32, 32, kernel=3) for _ in range(3))
        self.block4 = nn.MaxPool2d(3, stride=2, padding=1)
        self.block5 = Conv(32, 64)
        self.project5 = Project(32, 64)
        self.gate5 = Gate(32, 64, kernel=3)
        self.block6 = Conv(64, 64)
        self.gate6 = Gate(64, 64, kernel=3)
        self.block7 = Conv(64, 64)
        self.gate7 = Gate(64, 64, kernel=3)
        self.block8 = nn.MaxPool2d(3, stride=2, padding=1)
        self.block9 = Conv(64, 128)
        self.project9 = Project(64, 128)
        self.gate9 = Gate(64, 128, kernel=3)
        self.block10 = Conv(128, 128)
        self.gate10 = Gate(128, 128, kernel=3)
        self.block11 = Conv(128, 128)
        self.gate11 = Gate(128, 128, kernel=3)
        self.head = nn.Linear(128, 10)
        for m in self.modules():
            if isinstance(m, nn.Conv2d) and m.bias is None:  # He et al. 2015
                nn.init.normal_(m.weight, std=(2 / m.weight[:, 0].numel()) ** 0.5)

    def forward_features(self, x: Tensor) -> Tensor:
        x = self.stem(x)  # (B, 32, 32, 32)
        for block, gate in zip(self.blocks1_3, self.gates1_3, strict=True):
            x = gate(block(x), x, x)  # gate: (B, 32, 32, 32)
        x = self.block4(x)  # (B, 32, 16, 16)
        x = self.gate5(self.block5(x), self.project5(x), x)  # gate: (B, 64, 16, 16)
        x = self.gate6(self.block6(x), x, x)  # gate: (B, 64, 16, 16)
        x = self.gate7(self.block7(x), x, x)  # gate: (B, 64, 16, 16)
        x = self.block8(x)  # (B, 64, 8, 8)
        x = self.gate9(self.block9(x), self.project9(x), x)  # gate: (B, 128, 8, 8)
        x = self.gate10(self.block10(x), x, x)  # gate: (B, 128, 8, 8)
        return self.gate11(self.block11(x), x, x)  # gate: (B, 128, 8, 8)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.forward_features(x).mean((2, 3)))  # (B, 10)

    def reset_classifier(self, num_classes: int) -> None:
        """Replace the last layer by an untrained one for another number of classes."""
        self.head = nn.Linear(128, num_classes).to(self.head.weight)


def load_weights(path: str) -> Network:
    """Return the network in eval mode, with the weights of a .safetensors file."""
    from safetensors.torch import load_file

    network = Network()
    network.load_state_dict(load_file(path), strict=True)
    return network.eval()


TOPOLOGY = """
{"version":1,"input":[3,32,32],"stem":{"op":"conv3x3","width":32,"norm":true,"stride":1},"blocks":[{"op":"conv","width":32,"skip":{"kind":"gate","bias":"auto"},"kernel":3},{"op":"conv","width":32,"skip":{"kind":"gate","bias":"auto"},"kernel":3},{"op":"conv","width":32,"skip":{"kind":"gate","bias":"auto"},"kernel":3},{"op":"maxpool","stride":2,"kernel":3},{"op":"conv","width":64,"skip":{"kind":"gate","bias":"auto"},"kernel":3},{"op":"conv","width":64,"skip":{"kind":"gate","bias":"auto"},"kernel":3},{"op":"conv","width":64,"skip":{"kind":"gate","bias":"auto"},"kernel":3},{"op":"maxpool","stride":2,"kernel":3},{"op":"conv","width":128,"skip":{"kind":"gate","bias":"auto"},"kernel":3},{"op":"conv","width":128,"skip":{"kind":"gate","bias":"auto"},"kernel":3},{"op":"conv","width":128,"skip":{"kind":"gate","bias":"auto"},"kernel":3}],"head":{"op":"classify"},"outputs":10}
"""

if __name__ == "__main__":
    network, x = Network().eval(), torch.randn(1, 3, 32, 32)
    for name, part in (*network.named_children(), ("total", network)):
        print(f"{name:14}{sum(p.numel() for p in part.parameters()):>14,}")
    with torch.inference_mode():
        ms = 1000 * min(timeit.repeat(lambda: network(x), number=1, repeat=3))
        print(f"{tuple(x.shape)} -> {tuple(network(x).shape)} in {ms:.1f} ms")
