"""The modules of skips: those that align a bypass (Resize, Project, ZeroPad, PadLast), and the joins."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

JOINS = {  # the hues follow Okabe and Ito 2008, which stay apart for every common colour blindness
    "add": {
        "module": "Add",
        "residual": True,
        "commutes": True,
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
        "commutes": True,
        "expression": "{f} * {s}",
        "symbol": "×",
        "formula": "F(x) · s",
        "light": "#b0528a",
        "dark": "#e79bc9",
        "terminal": "magenta",
        "dash": "9 3 2 3",
        "strokes": ("━", "┃", "┏", "┓"),
    },
    "mix": {
        "module": "Mix",
        "arguments": "mix",
        "together": True,
        "options": {"normalise": {"default": False}},
        "symbol": "∑",
        "formula": "α₀·f + Σ αⱼ·sⱼ",
        "light": "#7a6a00",
        "dark": "#d8c64a",
        "terminal": "bright_yellow",
        "dash": "1 3",
        "strokes": ("┄", "┆", "╭", "╮"),
    },
    "attend": {
        "module": "Attend",
        "arguments": "attend",
        "together": True,
        "symbol": "◎",
        "formula": "Σ softmax(w·RMSNorm(s))ⱼ·sⱼ",
        "light": "#8a3ffc",
        "dark": "#be95ff",
        "terminal": "bright_magenta",
        "dash": "6 2 1 2 1 2",
        "strokes": ("┈", "┊", "╭", "╮"),
    },
}

SCALES = {
    "zero": {"module": "Scale", "symbol": "0"},
    "learned": {
        "module": "Scale",
        "arguments": "start",
        "options": {"start": {"default": 1.0, "low": -1000, "high": 1000}},
        "symbol": "α",
    },
    "channel": {
        "module": "ChannelScale",
        "arguments": "channels",
        "options": {"start": {"default": 1e-5, "low": -1000, "high": 1000}},
        "symbol": "γ",
    },
    "constant": {
        "module": "Constant",
        "arguments": "constant",
        "options": {"value": {"default": 1.0, "low": -1000, "high": 1000, "words": ("auto",)}},
        "expression": "{value} * {t}",
        "symbol": "c",
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


class Scale(nn.Module):
    """α·t with one learned number α: ReZero (Bachlechner et al. 2020, arXiv:2003.04887) starts it at 0."""

    def __init__(self, start: float = 0.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((1,), start))

    def forward(self, t: Tensor) -> Tensor:
        return self.weight * t


class ChannelScale(nn.Module):
    """γ·t with one learned number a channel: LayerScale (Touvron et al. 2021, arXiv:2103.17239)."""

    def __init__(self, width: int, start: float = 1e-5, dim: int = 1) -> None:
        super().__init__()
        self.dim = dim
        self.weight = nn.Parameter(torch.full((width,), start))

    def forward(self, t: Tensor) -> Tensor:
        return (self.weight[:, None, None] if self.dim == 1 else self.weight) * t


class Constant(nn.Module):
    """c·t with a fixed number c: DeepNorm (Wang et al. 2022, arXiv:2203.00555)."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value

    def forward(self, t: Tensor) -> Tensor:
        return self.value * t


class Mix(nn.Module):
    """α₀·f + Σ αⱼ·sⱼ with learned numbers: DenseFormer (Pagliardini et al. 2024, arXiv:2402.02622).

    It starts as f. With normalise=True the numbers are a softmax, of which the logit of f starts at 4, others at 0.
    """

    def __init__(self, sources: int, normalise: bool = False) -> None:
        super().__init__()
        self.normalise = normalise
        self.weight = nn.Parameter(torch.zeros(1 + sources))
        nn.init.constant_(self.weight[:1], 4.0 if normalise else 1.0)

    def forward(self, f: Tensor, *sources: Tensor) -> Tensor:
        weight = self.weight.softmax(0) if self.normalise else self.weight
        first, *others = weight.unbind()
        f = first * f
        for other, s in zip(others, sources, strict=True):
            f = f + other * s
        return f


class Attend(nn.Module):
    """Σ aⱼ·sⱼ over f and its sources, a = softmax over j of w·RMSNorm(sⱼ), with a learned vector w that starts at 0.

    Every place of the features weighs the sources for itself (attention residuals, Yin et al. 2026, arXiv:2603.15031).
    """

    def __init__(self, width: int, dim: int = 1) -> None:
        super().__init__()
        self.dim = dim
        self.weight = nn.Parameter(torch.zeros(width))

    def forward(self, f: Tensor, *sources: Tensor) -> Tensor:
        every = (f, *sources)
        scores = [self._score(s) for s in every]
        parts = torch.stack(scores).softmax(0).unbind()  # each (B, 1, H, W) or (B, T, 1)
        y = parts[0] * f
        for part, s in zip(parts[1:], sources, strict=True):
            y = y + part * s
        return y

    def _score(self, s: Tensor) -> Tensor:
        root = s.square().mean(self.dim, keepdim=True).add(1e-6).rsqrt()
        weight = self.weight[:, None, None] if self.dim == 1 else self.weight
        return (weight * s).sum(self.dim, keepdim=True) * root


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
