"""The two layers of a Transformer (Vaswani et al. 2017, arXiv:1706.03762); their skip is `add`."""

from torch import Tensor, nn
from torch.nn import functional as F

OPS = {
    "attention": {
        "module": "Attention",
        "layouts": ("sequence",),
        "linear_maps": ("qkv", "out"),
        "options": {
            "heads": {"default": 4, "high": 256, "divides_width": True},
            "causal": {"default": False},
            "norm": {"default": "pre", "choices": ("pre", "post", "peri", "none")},
            "eps": {"default": 1e-5, "low": 1e-12, "high": 1e-2},
        },
        "size_rule": "keep",
    },
    "feed_forward": {
        "module": "FeedForward",
        "layouts": ("sequence",),
        "linear_maps": ("expand", "project"),
        "options": {
            "expansion": {"default": 4, "high": 64},
            "activation": {"default": "gelu", "choices": ("gelu", "gelu_tanh", "relu")},
            "norm": {"default": "pre", "choices": ("pre", "post", "peri", "none")},
            "eps": {"default": 1e-5, "low": 1e-12, "high": 1e-2},
        },
        "size_rule": "keep",
    },
}


class Attention(nn.Module):
    """F(x) = softmax(QKᵀ/√d) V · W_out, (Q, K, V) = LN(x) · W_qkv, split over the heads.

    Pre-norm (Xiong et al. 2020, arXiv:2002.04745); with norm=False the norm follows the join instead. It starts as
    torch's MultiheadAttention.
    """

    def __init__(
        self,
        in_width: int,
        width: int,
        heads: int = 4,
        causal: bool = False,
        norm: bool = True,
        eps: float = 1e-5,
    ) -> None:
        super().__init__()
        self.heads, self.causal = heads, causal
        self.norm = nn.LayerNorm(in_width, eps) if norm else nn.Identity()
        self.qkv = nn.Linear(in_width, 3 * width)
        self.out = nn.Linear(width, width)
        nn.init.xavier_uniform_(self.qkv.weight)
        nn.init.zeros_(self.qkv.bias)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor) -> Tensor:
        x = self.qkv(self.norm(x)).unflatten(-1, (3, self.heads, -1))  # (B, T, 3, heads, width/heads)
        query, key, value = x.permute(2, 0, 3, 1, 4).unbind(0)  # each (B, heads, T, width/heads)
        x = F.scaled_dot_product_attention(query, key, value, is_causal=self.causal)
        return self.out(x.transpose(1, 2).flatten(2))  # (B, T, width)


class FeedForward(nn.Module):
    """F(x) = W₂ a(W₁ LN(x)), W₁ expansion times wide; with norm=False the norm follows the join instead.

    It starts as ViT's, by Glorot & Bengio 2010.
    """

    def __init__(
        self,
        in_width: int,
        width: int,
        expansion: int = 4,
        activation: str = "gelu",
        norm: bool = True,
        eps: float = 1e-5,
    ) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(in_width, eps) if norm else nn.Identity()
        self.expand = nn.Linear(in_width, expansion * width)
        self.activation: nn.Module = nn.GELU(approximate="tanh" if activation == "gelu_tanh" else "none")
        if activation == "relu":
            self.activation = nn.ReLU(inplace=True)
        self.project = nn.Linear(expansion * width, width)
        for linear in (self.expand, self.project):
            nn.init.xavier_uniform_(linear.weight)
            nn.init.zeros_(linear.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.project(self.activation(self.expand(self.norm(x))))  # (B, T, width)
