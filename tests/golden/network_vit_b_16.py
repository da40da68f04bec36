"""vit_b_16: 86,567,656 parameters, (B, 3, 224, 224) -> (B, 1000).

    network = load_weights("weights.safetensors")  # Network() is untrained

24 blocks: 24 add. It needs torch, load_weights safetensors. Written by skipnas.
"""

import timeit

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Patch(nn.Module):
    """[class token, patches · W] + positions: the stem of ViT (Dosovitskiy et al. 2021, arXiv:2010.11929)."""

    def __init__(
        self,
        in_width: int,
        width: int,
        patch: int,
        tokens: int,
        class_token: bool = True,
    ) -> None:
        super().__init__()
        self.projection = nn.Conv2d(in_width, width, patch, patch)
        nn.init.normal_(self.projection.weight, std=(in_width * patch**2) ** -0.5)
        nn.init.zeros_(self.projection.bias)  # type: ignore[arg-type]
        token = nn.Parameter(torch.zeros(1, 1, width)) if class_token else None
        self.class_token = token
        self.position = nn.Parameter(torch.empty(1, tokens, width).normal_(std=0.02))

    def forward(self, x: Tensor) -> Tensor:
        x = self.projection(x).flatten(2).transpose(1, 2)  # (B, H·W/patch², width)
        if self.class_token is not None:
            x = torch.cat((self.class_token.expand(x.shape[0], -1, -1), x), 1)
        return x + self.position  # (B, T, width)


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
        # (B, T, 3, heads, width/heads)
        x = self.qkv(self.norm(x)).unflatten(-1, (3, self.heads, -1))
        # each (B, heads, T, width/heads)
        query, key, value = x.permute(2, 0, 3, 1, 4).unbind(0)
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
        self.activation: nn.Module = nn.GELU(
            approximate="tanh" if activation == "gelu_tanh" else "none",
        )
        if activation == "relu":
            self.activation = nn.ReLU(inplace=True)
        self.project = nn.Linear(expansion * width, width)
        for linear in (self.expand, self.project):
            nn.init.xavier_uniform_(linear.weight)
            nn.init.zeros_(linear.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.project(self.activation(self.expand(self.norm(x))))  # (B, T, width)


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


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = Patch(3, 768, 16, 197)
        self.blocks1_24 = nn.ModuleList()
        for _ in range(12):
            self.blocks1_24.append(Attention(768, 768, heads=12, eps=1e-6))
            self.blocks1_24.append(FeedForward(768, 768, eps=1e-6))
        self.head = ClassToken(768, 1000, eps=1e-6)

    def forward_features(self, x: Tensor) -> Tensor:
        x = self.stem(x)  # (B, 197, 768)
        for block in self.blocks1_24:
            x = block(x) + x  # add: (B, 197, 768)
        return x

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.forward_features(x))  # (B, 1000)

    def reset_classifier(self, num_classes: int) -> None:
        """Replace the last layer by an untrained one for another number of classes."""
        self.head.linear = nn.Linear(768, num_classes).to(self.head.linear.weight)


def load_weights(path: str) -> Network:
    """Return the network in eval mode, with the weights of a .safetensors file."""
    from safetensors.torch import load_file

    network = Network()
    network.load_state_dict(load_file(path), strict=True)
    return network.eval()


TOPOLOGY = """
{"version":1,"input":[3,224,224],"stem":{"op":"patch","width":768,"class_token":true,"patch":16},"blocks":[{"op":"attention","width":768,"skip":{"kind":"add"},"causal":false,"eps":1e-06,"heads":12,"norm":"pre"},{"op":"feed_forward","width":768,"skip":{"kind":"add"},"activation":"gelu","eps":1e-06,"expansion":4,"norm":"pre"},{"op":"attention","width":768,"skip":{"kind":"add"},"causal":false,"eps":1e-06,"heads":12,"norm":"pre"},{"op":"feed_forward","width":768,"skip":{"kind":"add"},"activation":"gelu","eps":1e-06,"expansion":4,"norm":"pre"},{"op":"attention","width":768,"skip":{"kind":"add"},"causal":false,"eps":1e-06,"heads":12,"norm":"pre"},{"op":"feed_forward","width":768,"skip":{"kind":"add"},"activation":"gelu","eps":1e-06,"expansion":4,"norm":"pre"},{"op":"attention","width":768,"skip":{"kind":"add"},"causal":false,"eps":1e-06,"heads":12,"norm":"pre"},{"op":"feed_forward","width":768,"skip":{"kind":"add"},"activation":"gelu","eps":1e-06,"expansion":4,"norm":"pre"},{"op":"attention","width":768,"skip":{"kind":"add"},"causal":false,"eps":1e-06,"heads":12,"norm":"pre"},{"op":"feed_forward","width":768,"skip":{"kind":"add"},"activation":"gelu","eps":1e-06,"expansion":4,"norm":"pre"},{"op":"attention","width":768,"skip":{"kind":"add"},"causal":false,"eps":1e-06,"heads":12,"norm":"pre"},{"op":"feed_forward","width":768,"skip":{"kind":"add"},"activation":"gelu","eps":1e-06,"expansion":4,"norm":"pre"},{"op":"attention","width":768,"skip":{"kind":"add"},"causal":false,"eps":1e-06,"heads":12,"norm":"pre"},{"op":"feed_forward","width":768,"skip":{"kind":"add"},"activation":"gelu","eps":1e-06,"expansion":4,"norm":"pre"},{"op":"attention","width":768,"skip":{"kind":"add"},"causal":false,"eps":1e-06,"heads":12,"norm":"pre"},{"op":"feed_forward","width":768,"skip":{"kind":"add"},"activation":"gelu","eps":1e-06,"expansion":4,"norm":"pre"},{"op":"attention","width":768,"skip":{"kind":"add"},"causal":false,"eps":1e-06,"heads":12,"norm":"pre"},{"op":"feed_forward","width":768,"skip":{"kind":"add"},"activation":"gelu","eps":1e-06,"expansion":4,"norm":"pre"},{"op":"attention","width":768,"skip":{"kind":"add"},"causal":false,"eps":1e-06,"heads":12,"norm":"pre"},{"op":"feed_forward","width":768,"skip":{"kind":"add"},"activation":"gelu","eps":1e-06,"expansion":4,"norm":"pre"},{"op":"attention","width":768,"skip":{"kind":"add"},"causal":false,"eps":1e-06,"heads":12,"norm":"pre"},{"op":"feed_forward","width":768,"skip":{"kind":"add"},"activation":"gelu","eps":1e-06,"expansion":4,"norm":"pre"},{"op":"attention","width":768,"skip":{"kind":"add"},"causal":false,"eps":1e-06,"heads":12,"norm":"pre"},{"op":"feed_forward","width":768,"skip":{"kind":"add"},"activation":"gelu","eps":1e-06,"expansion":4,"norm":"pre"}],"head":{"op":"class_token","eps":1e-06},"outputs":1000}
"""

if __name__ == "__main__":
    network, x = Network().eval(), torch.randn(1, 3, 224, 224)
    for name, part in (*network.named_children(), ("total", network)):
        print(f"{name:14}{sum(p.numel() for p in part.parameters()):>14,}")
    with torch.inference_mode():
        ms = 1000 * min(timeit.repeat(lambda: network(x), number=1, repeat=3))
        print(f"{tuple(x.shape)} -> {tuple(network(x).shape)} in {ms:.1f} ms")
