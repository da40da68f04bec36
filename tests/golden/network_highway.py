"""highway: 80,560 parameters, (B, 1, 28, 28) -> (B, 10).

    network = load_weights("weights.safetensors")  # Network() is untrained

8 blocks: 8 gate. It needs torch, load_weights safetensors. Written by skipnas.
"""

import timeit

import torch
from torch import Tensor, nn


class LinearStem(nn.Module):
    """a(Wx + b) of the flattened input: the first layer of a perceptron."""

    def __init__(self, in_width: int, width: int, activation: str = "relu") -> None:
        super().__init__()
        self.linear = nn.Linear(in_width, width)
        self.activation = torch.tanh if activation == "tanh" else torch.relu
        nn.init.kaiming_normal_(self.linear.weight, nonlinearity=activation)  # type: ignore[arg-type]
        nn.init.zeros_(self.linear.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.activation(self.linear(x.flatten(1)))  # (B, width)


class Linear(nn.Module):
    """F(x) = a(Wx + b): a layer of a perceptron, or H(x) of a highway layer (Srivastava et al. 2015).

    Weights start as He et al. 2015 (arXiv:1502.01852) draw them for the activation.
    """

    def __init__(self, in_width: int, width: int, activation: str = "relu") -> None:
        super().__init__()
        self.linear = nn.Linear(in_width, width)
        self.activation = torch.tanh if activation == "tanh" else torch.relu
        nn.init.kaiming_normal_(self.linear.weight, nonlinearity=activation)  # type: ignore[arg-type]
        nn.init.zeros_(self.linear.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.activation(self.linear(x))  # (B, ..., width)


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


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = LinearStem(784, 50)
        self.blocks1_8 = nn.ModuleList(Linear(50, 50) for _ in range(8))
        self.gates1_8 = nn.ModuleList(LinearGate(50, 50) for _ in range(8))
        self.head = nn.Linear(50, 10)

    def forward_features(self, x: Tensor) -> Tensor:
        x = self.stem(x)  # (B, 50)
        for block, gate in zip(self.blocks1_8, self.gates1_8, strict=True):
            x = gate(block(x), x, x)  # gate: (B, 50)
        return x

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.forward_features(x))  # (B, 10)

    def reset_classifier(self, num_classes: int) -> None:
        """Replace the last layer by an untrained one for another number of classes."""
        self.head = nn.Linear(50, num_classes).to(self.head.weight)


def load_weights(path: str) -> Network:
    """Return the network in eval mode, with the weights of a .safetensors file."""
    from safetensors.torch import load_file

    network = Network()
    network.load_state_dict(load_file(path), strict=True)
    return network.eval()


TOPOLOGY = """
{"version":1,"input":[1,28,28],"stem":{"op":"linear","width":50,"activation":"relu"},"blocks":[{"op":"linear","width":50,"skip":{"kind":"gate","bias":"auto"},"activation":"relu"},{"op":"linear","width":50,"skip":{"kind":"gate","bias":"auto"},"activation":"relu"},{"op":"linear","width":50,"skip":{"kind":"gate","bias":"auto"},"activation":"relu"},{"op":"linear","width":50,"skip":{"kind":"gate","bias":"auto"},"activation":"relu"},{"op":"linear","width":50,"skip":{"kind":"gate","bias":"auto"},"activation":"relu"},{"op":"linear","width":50,"skip":{"kind":"gate","bias":"auto"},"activation":"relu"},{"op":"linear","width":50,"skip":{"kind":"gate","bias":"auto"},"activation":"relu"},{"op":"linear","width":50,"skip":{"kind":"gate","bias":"auto"},"activation":"relu"}],"head":{"op":"classify"},"outputs":10}
"""

if __name__ == "__main__":
    network, x = Network().eval(), torch.randn(1, 1, 28, 28)
    for name, part in (*network.named_children(), ("total", network)):
        print(f"{name:14}{sum(p.numel() for p in part.parameters()):>14,}")
    with torch.inference_mode():
        ms = 1000 * min(timeit.repeat(lambda: network(x), number=1, repeat=3))
        print(f"{tuple(x.shape)} -> {tuple(network(x).shape)} in {ms:.1f} ms")
