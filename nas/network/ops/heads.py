"""Heads, which turn the last features into the outputs."""

from torch import Tensor, nn
from torch.nn import functional as F

HEADS = {
    "classify": {"modules": {"vector": "nn.Linear", "sequence": "ClassifySequence", "image": "Classify"}},
    "norm_classify": {"modules": {"image": "NormClassify"}},
    "pool_norm_classify": {"modules": {"image": "PoolNormClassify"}},
    "conv1x1": {"modules": {"image": "Conv1x1"}, "output": "pixel"},
    "class_token": {
        "modules": {"sequence": "ClassToken"},
        "options": {"eps": {"default": 1e-5, "low": 1e-12, "high": 1e-2}},
        "requires": "class_token",
    },
    "language_model": {
        "modules": {"sequence": "LanguageModel"},
        "options": {"eps": {"default": 1e-5, "low": 1e-12, "high": 1e-2}},
        "output": "token",
        "tied": True,
    },
}


class Classify(nn.Module):
    """W · mean over the pixels + b: global average pooling and a linear map (Lin et al. 2014)."""

    def __init__(self, width: int, outputs: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x.mean((2, 3)))  # (B, outputs)


class ClassifySequence(nn.Module):
    """W · mean over the tokens + b."""

    def __init__(self, width: int, outputs: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x.mean(1))  # (B, outputs)


class NormClassify(nn.Module):
    """W · mean over the pixels of ReLU(BN(x)) + b: the head of DenseNet and of pre-activation ResNet."""

    def __init__(self, width: int, outputs: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(width)
        self.linear = nn.Linear(width, outputs)
        nn.init.zeros_(self.linear.bias)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.norm(x), inplace=True)
        return self.linear(x.mean((2, 3)))  # (B, outputs)


class PoolNormClassify(nn.Module):
    """W · LN(mean over the pixels) + b: the head of ConvNeXt (Liu et al. 2022, arXiv:2201.03545); W ~ N(0, 0.02²)."""

    def __init__(self, width: int, outputs: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.linear = nn.Linear(width, outputs)
        nn.init.normal_(self.linear.weight, std=0.02)
        nn.init.zeros_(self.linear.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(self.norm(x.mean((2, 3))))  # (B, outputs)


class Conv1x1(nn.Module):
    """A 1×1 convolution: outputs at every pixel, interpolated to `size` where it is given."""

    def __init__(self, width: int, outputs: int, size: tuple[int, int] | None = None) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, outputs, 1)
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)  # (B, outputs, H, W)
        return x if self.size is None else F.interpolate(x, self.size, mode="bilinear", align_corners=False)


class ClassToken(nn.Module):
    """W · LN(x)[0] + b: the class token of ViT (Dosovitskiy et al. 2021, arXiv:2010.11929); W and b start at 0."""

    def __init__(self, width: int, outputs: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, eps)
        self.linear = nn.Linear(width, outputs)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(self.norm(x[:, 0]))  # (B, outputs)


class LanguageModel(nn.Module):
    """E · LN(x): the next token's logits, E the stem's own embedding (Press & Wolf 2017, arXiv:1608.05859).

    Features that are not as wide as the embedding are first mapped to its width.
    """

    def __init__(self, width: int, outputs: int, embedding: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, eps)
        self.fit: nn.Module = nn.Identity()
        if width != embedding:
            self.fit = nn.Linear(width, embedding, bias=False)
            nn.init.normal_(self.fit.weight, std=0.02)
        self.decoder = nn.Linear(embedding, outputs, bias=False)

    def tie(self, weight: Tensor) -> None:
        """Use the weight of the stem's embedding as that of the last layer."""
        self.decoder.weight = weight

    def forward(self, x: Tensor) -> Tensor:
        return self.decoder(self.fit(self.norm(x)))  # (B, T, outputs)
