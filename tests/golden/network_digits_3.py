"""digits, trial 3: 108,942 parameters, (B, 1, 8, 8) -> (B, 10).

    network = load_weights("weights.safetensors")  # Network() is untrained

16 blocks: 4 long concat, 3 gate, 2 add, 2 concat, 2 long add, 3 without a skip; y0 is
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


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = Conv3x3(1, 16)
        self.block1 = Basic(16, 12)
        self.project1 = Project(16, 12)
        self.gate1 = Gate(16, 12)
        self.block2 = Basic(12, 12)
        self.block3 = Basic(28, 12)
        self.block4 = Basic(24, 6)
        self.block5 = Basic(30, 12)
        self.block6 = Basic(24, 12)
        self.project6 = Project(24, 12)
        self.gate6 = Gate(24, 12)
        self.block7 = Basic(12, 12)
        self.project7 = Project(30, 12)
        self.block8 = Basic(12, 12)
        self.block9 = Basic(12, 24, stride=2)
        self.block10 = Basic(24, 24)
        self.block11 = Basic(24, 24)
        self.block12 = Basic(24, 24)
        self.block13 = Basic(36, 24)
        self.block14 = Basic(24, 12)
        self.block15 = Basic(36, 24)
        self.project15 = Project(36, 24)
        self.gate15 = Gate(36, 24)
        self.block16 = Basic(24, 24)
        self.head = nn.Linear(24, 10)
        for m in self.modules():
            if isinstance(m, nn.Conv2d) and m.bias is None:  # He et al. 2015
                nn.init.normal_(m.weight, std=(2 / m.weight[:, 0].numel()) ** 0.5)

    def forward_features(self, x: Tensor) -> Tensor:
        x = y0 = self.stem(x)  # (B, 16, 8, 8)
        # gate: (B, 12, 8, 8)
        x = y1 = F.relu_(self.gate1(self.block1(x), self.project1(x), x))
        x = F.relu_(torch.cat((y0, self.block2(x)), 1))  # concat y0: (B, 28, 8, 8)
        x = F.relu_(torch.cat((y1, self.block3(x)), 1))  # concat y1: (B, 24, 8, 8)
        x = y4 = F.relu_(torch.cat((x, self.block4(x)), 1))  # concat: (B, 30, 8, 8)
        x = F.relu_(torch.cat((y1, self.block5(x)), 1))  # concat y1: (B, 24, 8, 8)
        # gate: (B, 12, 8, 8)
        x = F.relu_(self.gate6(self.block6(x), self.project6(x), x))
        x = F.relu_(self.block7(x) + self.project7(y4))  # add y4: (B, 12, 8, 8)
        x = y8 = F.relu_(self.block8(x) + x)  # add: (B, 12, 8, 8)
        x = F.relu_(self.block9(x))  # (B, 24, 4, 4)
        x = F.relu_(self.block10(x))  # (B, 24, 4, 4)
        x = F.relu_(self.block11(x) + x)  # add: (B, 24, 4, 4)
        f = self.block12(x)
        s = F.adaptive_avg_pool2d(y8, (f.shape[2], f.shape[3]))
        x = F.relu_(torch.cat((s, f), 1))  # concat y8: (B, 36, 4, 4)
        x = y13 = F.relu_(self.block13(x))  # (B, 24, 4, 4)
        x = F.relu_(torch.cat((x, self.block14(x)), 1))  # concat: (B, 36, 4, 4)
        # gate: (B, 24, 4, 4)
        x = F.relu_(self.gate15(self.block15(x), self.project15(x), x))
        return F.relu_(self.block16(x) + y13)  # add y13: (B, 24, 4, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.forward_features(x).mean((2, 3)))  # (B, 10)

    def reset_classifier(self, num_classes: int) -> None:
        """Replace the last layer by an untrained one for another number of classes."""
        self.head = nn.Linear(24, num_classes).to(self.head.weight)


def load_weights(path: str) -> Network:
    """Return the network in eval mode, with the weights of a .safetensors file."""
    from safetensors.torch import load_file

    network = Network()
    network.load_state_dict(load_file(path), strict=True)
    return network.eval()


TOPOLOGY = """
{"version":1,"input":[1,8,8],"stem":{"op":"conv3x3","width":16,"norm":true,"stride":1},"blocks":[{"op":"basic","width":12,"skip":{"kind":"gate"}},{"op":"basic","width":12,"skip":{"kind":"concat","source":0}},{"op":"basic","width":12,"skip":{"kind":"concat","source":1}},{"op":"basic","width":6,"skip":{"kind":"concat"}},{"op":"basic","width":12,"skip":{"kind":"concat","source":1}},{"op":"basic","width":12,"skip":{"kind":"gate"}},{"op":"basic","width":12,"skip":{"kind":"add","source":4}},{"op":"basic","width":12,"skip":{"kind":"add"}},{"op":"basic","width":24,"stride":2},{"op":"basic","width":24},{"op":"basic","width":24,"skip":{"kind":"add"}},{"op":"basic","width":24,"skip":{"kind":"concat","source":8}},{"op":"basic","width":24},{"op":"basic","width":12,"skip":{"kind":"concat"}},{"op":"basic","width":24,"skip":{"kind":"gate"}},{"op":"basic","width":24,"skip":{"kind":"add","source":13}}],"head":{"op":"classify"},"outputs":10}
"""

if __name__ == "__main__":
    network, x = Network().eval(), torch.randn(1, 1, 8, 8)
    for name, part in (*network.named_children(), ("total", network)):
        print(f"{name:14}{sum(p.numel() for p in part.parameters()):>14,}")
    with torch.inference_mode():
        ms = 1000 * min(timeit.repeat(lambda: network(x), number=1, repeat=3))
        print(f"{tuple(x.shape)} -> {tuple(network(x).shape)} in {ms:.1f} ms")
