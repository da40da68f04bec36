"""resnet18: 11,689,512 parameters, (B, 3, 224, 224) -> (B, 1000).

    network = load_weights("weights.safetensors")  # Network() is untrained

8 blocks: 8 add. It needs torch, load_weights safetensors. Written by skipnas.
"""

import timeit

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Conv7x7Pool(nn.Module):
    """max pool 3x3/2(ReLU(BN(conv7x7/2(x)))): the stem of ResNet and DenseNet on ImageNet."""

    def __init__(self, in_width: int, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_width, width, 7, 2, padding=3, bias=False)
        self.norm = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.norm(self.conv(x)), inplace=True)  # (B, width, H/2, W/2)
        return F.max_pool2d(x, 3, stride=2, padding=1)  # (B, width, H/4, W/4)


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


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = Conv7x7Pool(3, 64)
        self.block1 = Basic(64, 64)
        self.block2 = Basic(64, 64)
        self.block3 = Basic(64, 128, stride=2)
        self.project3 = Project(64, 128, stride=2)
        self.block4 = Basic(128, 128)
        self.block5 = Basic(128, 256, stride=2)
        self.project5 = Project(128, 256, stride=2)
        self.block6 = Basic(256, 256)
        self.block7 = Basic(256, 512, stride=2)
        self.project7 = Project(256, 512, stride=2)
        self.block8 = Basic(512, 512)
        self.head = nn.Linear(512, 1000)
        for m in self.modules():
            if isinstance(m, nn.Conv2d) and m.bias is None:  # He et al. 2015
                nn.init.normal_(m.weight, std=(2 / m.weight[:, 0].numel()) ** 0.5)

    def forward_features(self, x: Tensor) -> Tensor:
        x = self.stem(x)  # (B, 64, 56, 56)
        x = F.relu_(self.block1(x) + x)  # add: (B, 64, 56, 56)
        x = F.relu_(self.block2(x) + x)  # add: (B, 64, 56, 56)
        x = F.relu_(self.block3(x) + self.project3(x))  # add: (B, 128, 28, 28)
        x = F.relu_(self.block4(x) + x)  # add: (B, 128, 28, 28)
        x = F.relu_(self.block5(x) + self.project5(x))  # add: (B, 256, 14, 14)
        x = F.relu_(self.block6(x) + x)  # add: (B, 256, 14, 14)
        x = F.relu_(self.block7(x) + self.project7(x))  # add: (B, 512, 7, 7)
        return F.relu_(self.block8(x) + x)  # add: (B, 512, 7, 7)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.forward_features(x).mean((2, 3)))  # (B, 1000)

    def reset_classifier(self, num_classes: int) -> None:
        """Replace the last layer by an untrained one for another number of classes."""
        self.head = nn.Linear(512, num_classes).to(self.head.weight)


def load_weights(path: str) -> Network:
    """Return the network in eval mode, with the weights of a .safetensors file."""
    from safetensors.torch import load_file

    network = Network()
    network.load_state_dict(load_file(path), strict=True)
    return network.eval()


TOPOLOGY = """
{"version":1,"input":[3,224,224],"stem":{"op":"conv7x7_pool","width":64},"blocks":[{"op":"basic","width":64,"skip":{"kind":"add"}},{"op":"basic","width":64,"skip":{"kind":"add"}},{"op":"basic","width":128,"stride":2,"skip":{"kind":"add"}},{"op":"basic","width":128,"skip":{"kind":"add"}},{"op":"basic","width":256,"stride":2,"skip":{"kind":"add"}},{"op":"basic","width":256,"skip":{"kind":"add"}},{"op":"basic","width":512,"stride":2,"skip":{"kind":"add"}},{"op":"basic","width":512,"skip":{"kind":"add"}}],"head":{"op":"classify"},"outputs":1000}
"""

if __name__ == "__main__":
    network, x = Network().eval(), torch.randn(1, 3, 224, 224)
    for name, part in (*network.named_children(), ("total", network)):
        print(f"{name:14}{sum(p.numel() for p in part.parameters()):>14,}")
    with torch.inference_mode():
        ms = 1000 * min(timeit.repeat(lambda: network(x), number=1, repeat=3))
        print(f"{tuple(x.shape)} -> {tuple(network(x).shape)} in {ms:.1f} ms")
