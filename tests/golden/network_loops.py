"""a winner: loops: 115,010 parameters, (B, 1, 8, 8) -> (B, 10).

    network = load_weights("weights.safetensors")  # Network() is untrained

17 blocks: 5 add, 4 concat, 3 gate, 1 long concat, 4 without a skip; y4 is the output of
block 4. It needs torch, load_weights safetensors. Written by skipnas.
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


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = Conv3x3(1, 16)
        self.blocks1_4 = nn.ModuleList(DenseLayerPlain(w, 8) for w in range(16, 48, 8))
        self.block5 = Transition(48, 24, stride=2)
        self.blocks6_8 = nn.Sequential(*(Conv(24, 24) for _ in range(3)))
        self.blocks9_11 = nn.ModuleList(Conv(24, 24) for _ in range(3))
        self.gates9_11 = nn.ModuleList(Gate(24, 24, kernel=3) for _ in range(3))
        self.blocks12_16 = nn.ModuleList(Basic(24, 24) for _ in range(5))
        self.block17 = Conv(24, 24)
        self.head = nn.Linear(72, 10)
        for m in self.modules():
            if isinstance(m, nn.Conv2d) and m.bias is None:  # He et al. 2015
                nn.init.normal_(m.weight, std=(2 / m.weight[:, 0].numel()) ** 0.5)

    def forward_features(self, x: Tensor) -> Tensor:
        x = self.stem(x)  # (B, 16, 8, 8)
        for block in self.blocks1_4:
            x = torch.cat((x, block(x)), 1)  # concat: (B, 24…48, 8, 8)
        y4 = x
        x = self.block5(x)  # (B, 24, 4, 4)
        x = self.blocks6_8(x)  # (B, 24, 4, 4)
        for block, gate in zip(self.blocks9_11, self.gates9_11, strict=True):
            x = gate(block(x), x, x)  # gate: (B, 24, 4, 4)
        for block in self.blocks12_16:
            x = F.relu_(block(x) + x)  # add: (B, 24, 4, 4)
        f = self.block17(x)
        s = F.adaptive_avg_pool2d(y4, (f.shape[2], f.shape[3]))
        return torch.cat((s, f), 1)  # concat y4: (B, 72, 4, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.forward_features(x).mean((2, 3)))  # (B, 10)

    def reset_classifier(self, num_classes: int) -> None:
        """Replace the last layer by an untrained one for another number of classes."""
        self.head = nn.Linear(72, num_classes).to(self.head.weight)


def load_weights(path: str) -> Network:
    """Return the network in eval mode, with the weights of a .safetensors file."""
    from safetensors.torch import load_file

    network = Network()
    network.load_state_dict(load_file(path), strict=True)
    return network.eval()


TOPOLOGY = """
{"version":1,"input":[1,8,8],"stem":{"op":"conv3x3","width":16,"norm":true,"stride":1},"blocks":[{"op":"dense_layer_plain","width":8,"skip":{"kind":"concat"}},{"op":"dense_layer_plain","width":8,"skip":{"kind":"concat"}},{"op":"dense_layer_plain","width":8,"skip":{"kind":"concat"}},{"op":"dense_layer_plain","width":8,"skip":{"kind":"concat"}},{"op":"transition","width":24,"stride":2},{"op":"conv","width":24,"kernel":3},{"op":"conv","width":24,"kernel":3},{"op":"conv","width":24,"kernel":3},{"op":"conv","width":24,"skip":{"kind":"gate"},"kernel":3},{"op":"conv","width":24,"skip":{"kind":"gate"},"kernel":3},{"op":"conv","width":24,"skip":{"kind":"gate"},"kernel":3},{"op":"basic","width":24,"skip":{"kind":"add"}},{"op":"basic","width":24,"skip":{"kind":"add"}},{"op":"basic","width":24,"skip":{"kind":"add"}},{"op":"basic","width":24,"skip":{"kind":"add"}},{"op":"basic","width":24,"skip":{"kind":"add"}},{"op":"conv","width":24,"skip":{"kind":"concat","source":4},"kernel":3}],"head":{"op":"classify"},"outputs":10}
"""

if __name__ == "__main__":
    network, x = Network().eval(), torch.randn(1, 1, 8, 8)
    for name, part in (*network.named_children(), ("total", network)):
        print(f"{name:14}{sum(p.numel() for p in part.parameters()):>14,}")
    with torch.inference_mode():
        ms = 1000 * min(timeit.repeat(lambda: network(x), number=1, repeat=3))
        print(f"{tuple(x.shape)} -> {tuple(network(x).shape)} in {ms:.1f} ms")
