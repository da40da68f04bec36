"""gpt2: 124,439,808 parameters, (B, 1024) -> (B, 1024, 50257).

    network = load_weights("weights.safetensors")  # Network() is untrained

24 blocks: 24 add. It needs torch, load_weights safetensors. Written by skipnas.
"""

import timeit

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Token(nn.Module):
    """embedding(token) + embedding(position): the stem of GPT-2 (Radford et al. 2019)."""

    def __init__(self, vocabulary: int, width: int, context: int) -> None:
        super().__init__()
        self.token = nn.Embedding(vocabulary, width)
        nn.init.normal_(self.token.weight, std=0.02)
        self.position = nn.Parameter(torch.empty(context, width).normal_(std=0.02))

    def forward(self, x: Tensor) -> Tensor:
        return self.token(x) + self.position[: x.shape[1]]  # (B, T, width)


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


class LanguageModel(nn.Module):
    """E · LN(x): the next token's logits, E the stem's own embedding (Press & Wolf 2017, arXiv:1608.05859).

    Features that are not as wide as the embedding are first mapped to its width.
    """

    def __init__(
        self,
        width: int,
        outputs: int,
        embedding: int,
        eps: float = 1e-5,
    ) -> None:
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


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = Token(50257, 768, 1024)
        self.blocks1_24 = nn.ModuleList()
        for _ in range(12):
            self.blocks1_24.append(Attention(768, 768, heads=12, causal=True))
            self.blocks1_24.append(FeedForward(768, 768, activation="gelu_tanh"))
        self.head = LanguageModel(768, 50257, 768)
        self.head.tie(self.stem.token.weight)
        for a, b in zip(self.blocks1_24[0::2], self.blocks1_24[1::2], strict=True):
            nn.init.normal_(a.get_parameter("qkv.weight"), std=0.02)
            nn.init.normal_(a.get_parameter("out.weight"), std=0.02 / 24**0.5)
            nn.init.normal_(b.get_parameter("expand.weight"), std=0.02)
            nn.init.normal_(b.get_parameter("project.weight"), std=0.02 / 24**0.5)

    def forward_features(self, x: Tensor) -> Tensor:
        x = self.stem(x)  # (B, 1024, 768)
        for block in self.blocks1_24:
            x = block(x) + x  # add: (B, 1024, 768)
        return x

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.forward_features(x))  # (B, 1024, 50257)

    def reset_classifier(self, num_classes: int) -> None:
        """Replace the last layer by an untrained one for another number of classes."""
        self.head.decoder = nn.Linear(768, num_classes, bias=False).to(
            self.head.decoder.weight,
        )


def load_weights(path: str) -> Network:
    """Return the network in eval mode, with the weights of a .safetensors file."""
    from safetensors.torch import load_file

    network = Network()
    network.load_state_dict(load_file(path), strict=True)
    return network.eval()


TOPOLOGY = """
{"version":1,"input":[1024],"stem":{"op":"token","width":768,"vocabulary":50257},"blocks":[{"op":"attention","width":768,"skip":{"kind":"add"},"causal":true,"eps":1e-05,"heads":12,"norm":"pre"},{"op":"feed_forward","width":768,"skip":{"kind":"add"},"activation":"gelu_tanh","eps":1e-05,"expansion":4,"norm":"pre"},{"op":"attention","width":768,"skip":{"kind":"add"},"causal":true,"eps":1e-05,"heads":12,"norm":"pre"},{"op":"feed_forward","width":768,"skip":{"kind":"add"},"activation":"gelu_tanh","eps":1e-05,"expansion":4,"norm":"pre"},{"op":"attention","width":768,"skip":{"kind":"add"},"causal":true,"eps":1e-05,"heads":12,"norm":"pre"},{"op":"feed_forward","width":768,"skip":{"kind":"add"},"activation":"gelu_tanh","eps":1e-05,"expansion":4,"norm":"pre"},{"op":"attention","width":768,"skip":{"kind":"add"},"causal":true,"eps":1e-05,"heads":12,"norm":"pre"},{"op":"feed_forward","width":768,"skip":{"kind":"add"},"activation":"gelu_tanh","eps":1e-05,"expansion":4,"norm":"pre"},{"op":"attention","width":768,"skip":{"kind":"add"},"causal":true,"eps":1e-05,"heads":12,"norm":"pre"},{"op":"feed_forward","width":768,"skip":{"kind":"add"},"activation":"gelu_tanh","eps":1e-05,"expansion":4,"norm":"pre"},{"op":"attention","width":768,"skip":{"kind":"add"},"causal":true,"eps":1e-05,"heads":12,"norm":"pre"},{"op":"feed_forward","width":768,"skip":{"kind":"add"},"activation":"gelu_tanh","eps":1e-05,"expansion":4,"norm":"pre"},{"op":"attention","width":768,"skip":{"kind":"add"},"causal":true,"eps":1e-05,"heads":12,"norm":"pre"},{"op":"feed_forward","width":768,"skip":{"kind":"add"},"activation":"gelu_tanh","eps":1e-05,"expansion":4,"norm":"pre"},{"op":"attention","width":768,"skip":{"kind":"add"},"causal":true,"eps":1e-05,"heads":12,"norm":"pre"},{"op":"feed_forward","width":768,"skip":{"kind":"add"},"activation":"gelu_tanh","eps":1e-05,"expansion":4,"norm":"pre"},{"op":"attention","width":768,"skip":{"kind":"add"},"causal":true,"eps":1e-05,"heads":12,"norm":"pre"},{"op":"feed_forward","width":768,"skip":{"kind":"add"},"activation":"gelu_tanh","eps":1e-05,"expansion":4,"norm":"pre"},{"op":"attention","width":768,"skip":{"kind":"add"},"causal":true,"eps":1e-05,"heads":12,"norm":"pre"},{"op":"feed_forward","width":768,"skip":{"kind":"add"},"activation":"gelu_tanh","eps":1e-05,"expansion":4,"norm":"pre"},{"op":"attention","width":768,"skip":{"kind":"add"},"causal":true,"eps":1e-05,"heads":12,"norm":"pre"},{"op":"feed_forward","width":768,"skip":{"kind":"add"},"activation":"gelu_tanh","eps":1e-05,"expansion":4,"norm":"pre"},{"op":"attention","width":768,"skip":{"kind":"add"},"causal":true,"eps":1e-05,"heads":12,"norm":"pre"},{"op":"feed_forward","width":768,"skip":{"kind":"add"},"activation":"gelu_tanh","eps":1e-05,"expansion":4,"norm":"pre"}],"head":{"op":"language_model","eps":1e-05},"outputs":50257}
"""

if __name__ == "__main__":
    network, x = Network().eval(), torch.randint(50257, (1, 1024))
    for name, part in (*network.named_children(), ("total", network)):
        print(f"{name:14}{sum(p.numel() for p in part.parameters()):>14,}")
    with torch.inference_mode():
        ms = 1000 * min(timeit.repeat(lambda: network(x), number=1, repeat=3))
        print(f"{tuple(x.shape)} -> {tuple(network(x).shape)} in {ms:.1f} ms")
