"""digits, trial 2: 160,394 parameters, (B, 1, 8, 8) -> (B, 10).

    network = load_weights("weights.safetensors")  # Network() is untrained

15 blocks: 5 concat, 4 gate, 3 long concat, 1 add, 1 long add, 1 without a skip; y0 is
the output of the stem. It needs torch, load_weights safetensors. Written by skipnas.
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


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = Conv3x3(1, 16)
        self.block1 = Basic(16, 8)
        self.block2 = Basic(24, 16)
        self.project2 = Project(24, 16)
        self.block3 = Basic(16, 8)
        self.block4 = Basic(24, 8)
        self.block5 = Basic(32, 16)
        self.block6 = Basic(32, 16)
        self.block7 = Basic(40, 16)
        self.project7 = Project(40, 16)
        self.gate7 = Gate(40, 16)
        self.block8 = Basic(16, 16)
        self.project8 = Project(40, 16)
        self.block9 = PreAct(16, 32, stride=2)
        self.block10 = PreAct(32, 16)
        self.block11 = PreAct(48, 32)
        self.project11 = Project(48, 32, norm=False)
        self.gate11 = Gate(48, 32)
        self.block12 = PreAct(32, 16)
        self.block13 = PreAct(48, 32)
        self.project13 = Project(48, 32, norm=False)
        self.gate13 = Gate(48, 32)
        self.block14 = PreAct(32, 32)
        self.gate14 = Gate(32, 32)
        self.block15 = PreAct(32, 32)
        self.head = nn.Linear(64, 10)
        for m in self.modules():
            if isinstance(m, nn.Conv2d) and m.bias is None:  # He et al. 2015
                nn.init.normal_(m.weight, std=(2 / m.weight[:, 0].numel()) ** 0.5)

    def forward_features(self, x: Tensor) -> Tensor:
        x = y0 = self.stem(x)  # (B, 16, 8, 8)
        x = F.relu_(torch.cat((x, self.block1(x)), 1))  # concat: (B, 24, 8, 8)
        x = F.relu_(self.block2(x) + self.project2(x))  # add: (B, 16, 8, 8)
        x = y3 = F.relu_(torch.cat((x, self.block3(x)), 1))  # concat: (B, 24, 8, 8)
        x = F.relu_(torch.cat((x, self.block4(x)), 1))  # concat: (B, 32, 8, 8)
        x = F.relu_(torch.cat((y0, self.block5(x)), 1))  # concat y0: (B, 32, 8, 8)
        x = y6 = F.relu_(torch.cat((y3, self.block6(x)), 1))  # concat y3: (B, 40, 8, 8)
        # gate: (B, 16, 8, 8)
        x = F.relu_(self.gate7(self.block7(x), self.project7(x), x))
        x = F.relu_(self.block8(x) + self.project8(y6))  # add y6: (B, 16, 8, 8)
        x = self.block9(x)  # (B, 32, 4, 4)
        x = torch.cat((x, self.block10(x)), 1)  # concat: (B, 48, 4, 4)
        a = self.block11.preactivate(x)
        # gate: (B, 32, 4, 4)
        x = self.gate11(self.block11.body(a), self.project11(a), x)
        x = torch.cat((x, self.block12(x)), 1)  # concat: (B, 48, 4, 4)
        a = self.block13.preactivate(x)
        # gate: (B, 32, 4, 4)
        x = y13 = self.gate13(self.block13.body(a), self.project13(a), x)
        x = self.gate14(self.block14(x), x, x)  # gate: (B, 32, 4, 4)
        return torch.cat((y13, self.block15(x)), 1)  # concat y13: (B, 64, 4, 4)

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
{"version":1,"input":[1,8,8],"stem":{"op":"conv3x3","width":16,"norm":true,"stride":1},"blocks":[{"op":"basic","width":8,"skip":{"kind":"concat"}},{"op":"basic","width":16,"skip":{"kind":"add"}},{"op":"basic","width":8,"skip":{"kind":"concat"}},{"op":"basic","width":8,"skip":{"kind":"concat"}},{"op":"basic","width":16,"skip":{"kind":"concat","source":0}},{"op":"basic","width":16,"skip":{"kind":"concat","source":3}},{"op":"basic","width":16,"skip":{"kind":"gate"}},{"op":"basic","width":16,"skip":{"kind":"add","source":6}},{"op":"preact","width":32,"stride":2},{"op":"preact","width":16,"skip":{"kind":"concat"}},{"op":"preact","width":32,"skip":{"kind":"gate"}},{"op":"preact","width":16,"skip":{"kind":"concat"}},{"op":"preact","width":32,"skip":{"kind":"gate"}},{"op":"preact","width":32,"skip":{"kind":"gate"}},{"op":"preact","width":32,"skip":{"kind":"concat","source":13}}],"head":{"op":"classify"},"outputs":10}
"""

if __name__ == "__main__":
    network, x = Network().eval(), torch.randn(1, 1, 8, 8)
    for name, part in (*network.named_children(), ("total", network)):
        print(f"{name:14}{sum(p.numel() for p in part.parameters()):>14,}")
    with torch.inference_mode():
        ms = 1000 * min(timeit.repeat(lambda: network(x), number=1, repeat=3))
        print(f"{tuple(x.shape)} -> {tuple(network(x).shape)} in {ms:.1f} ms")
