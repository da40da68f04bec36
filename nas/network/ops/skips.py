"""The modules of skips: those that align a bypass (Resize, Project, ZeroPad, PadLast), and the joins."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

JOINS = {  # the hues follow Okabe and Ito 2008, which stay apart for every common colour blindness
    "add": {
        "module": "Add",
        "residual": True,
        "expression": "{f} + {s}",
        "baseline": "resnet",
        "symbol": "+",
        "formula": "F(x) + s",
        "light": "#0072b2",
        "dark": "#56b4e9",
        "terminal": "cyan",
        "dash": "none",
        "strokes": ("─", "│", "╭", "╮"),
    },
    "concat": {
        "module": "Concat",
        "arguments": "dim",
        "expression": "torch.cat(({s}, {f}), {dim})",
        "aligns": "size",
        "baseline": "densenet",
        "symbol": "&",
        "formula": "[s, F(x)]",
        "light": "#c4560a",
        "dark": "#f0a04b",
        "terminal": "yellow",
        "dash": "8 3",
        "strokes": ("═", "║", "╔", "╗"),
    },
    "gate": {
        "module": "Gate",
        "flat_module": "LinearGate",
        "arguments": "gate",
        "options": {"bias": {"default": -2.0, "low": -30, "high": 30, "words": ("auto",)}},
        "baseline": "highway",
        "symbol": "~",
        "formula": "T·F(x) + (1−T)·s",
        "light": "#00805c",
        "dark": "#2fc79a",
        "terminal": "green",
        "dash": "2 3",
        "strokes": ("╌", "╎", "╭", "╮"),
    },
    "mul": {
        "module": "Mul",
        "expression": "{f} * {s}",
        "symbol": "×",
        "formula": "F(x) · s",
        "light": "#b0528a",
        "dark": "#e79bc9",
        "terminal": "magenta",
        "dash": "9 3 2 3",
        "strokes": ("━", "┃", "┏", "┓"),
    },
}


class Resize(nn.Module):
    """s at the resolution of f: averaged where it shrinks, nearest neighbours where it grows."""

    def forward(self, s: Tensor, f: Tensor) -> Tensor:
        height, width = f.shape[2:]
        if s.shape[2] >= height and s.shape[3] >= width:
            return F.adaptive_avg_pool2d(s, (height, width))
        return F.interpolate(s, size=(height, width), mode="nearest")


class Project(nn.Module):
    """BN(1x1 convolution(s)) with the block's stride: option B of He et al. 2015 (arXiv:1512.03385)."""

    def __init__(self, in_width: int, width: int, stride: int = 1, norm: bool = True) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_width, width, 1, stride, bias=False)
        self.norm = nn.BatchNorm2d(width) if norm else nn.Identity()

    def forward(self, s: Tensor) -> Tensor:
        return self.norm(self.conv(s))  # (B, width, H/stride, W/stride)


class ZeroPad(nn.Module):
    """s at every stride-th pixel, with `extra` channels of zeros behind: option A of He et al. 2015."""

    def __init__(self, extra: int, stride: int = 1) -> None:
        super().__init__()
        self.extra, self.stride = extra, stride

    def forward(self, s: Tensor) -> Tensor:
        s = s[:, :, :: self.stride, :: self.stride]
        return F.pad(s, (0, 0, 0, 0, 0, self.extra))  # (B, C + extra, H/stride, W/stride)


class PadLast(nn.Module):
    """s with `extra` features of zeros behind: option A for vectors and sequences."""

    def __init__(self, extra: int) -> None:
        super().__init__()
        self.extra = extra

    def forward(self, s: Tensor) -> Tensor:
        return F.pad(s, (0, self.extra))  # (B, ..., D + extra)


class Add(nn.Module):
    """f + s (He et al. 2015, arXiv:1512.03385)."""

    def forward(self, f: Tensor, s: Tensor, x: Tensor) -> Tensor:
        return f + s


class Concat(nn.Module):
    """[s, f] (Huang et al. 2017, arXiv:1608.06993)."""

    def __init__(self, dim: int = 1) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, f: Tensor, s: Tensor, x: Tensor) -> Tensor:
        return torch.cat((s, f), self.dim)


class Mul(nn.Module):
    """f · s, element by element."""

    def forward(self, f: Tensor, s: Tensor, x: Tensor) -> Tensor:
        return f * s


class Gate(nn.Module):
    """T·f + (1 − T)·s, T = sigmoid(conv(x) + b) at the resolution of f (Srivastava et al. 2015, arXiv:1505.00387).

    x is the block's input. At the start T = sigmoid(bias) for every x: a bias below 0 opens the bypass.
    """

    def __init__(self, in_width: int, width: int, kernel: int = 1, stride: int = 1, bias: float = -2.0) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_width, width, kernel, stride, padding=kernel // 2)
        nn.init.zeros_(self.conv.weight)
        nn.init.constant_(self.conv.bias, bias)  # type: ignore[arg-type]

    def forward(self, f: Tensor, s: Tensor, x: Tensor) -> Tensor:
        gate = torch.sigmoid(self.conv(x))  # (B, width, H/stride, W/stride)
        if gate.shape[2:] != f.shape[2:]:
            gate = F.interpolate(gate, size=f.shape[2:], mode="nearest")
        return torch.lerp(s, f.to(s.dtype), gate.to(s.dtype))


class LinearGate(nn.Module):
    """T·f + (1 − T)·s, T = sigmoid(Wx + b) (Srivastava et al. 2015, arXiv:1505.00387).

    At the start T = sigmoid(bias) for every x: a bias below 0 opens the bypass.
    """

    def __init__(self, in_width: int, width: int, bias: float = -2.0) -> None:
        super().__init__()
        self.linear = nn.Linear(in_width, width)
        nn.init.zeros_(self.linear.weight)
        nn.init.constant_(self.linear.bias, bias)

    def forward(self, f: Tensor, s: Tensor, x: Tensor) -> Tensor:
        gate = torch.sigmoid(self.linear(x))
        return torch.lerp(s, f.to(s.dtype), gate.to(s.dtype))
