"""densenet121: 7,978,856 parameters, (B, 3, 224, 224) -> (B, 1000).

    network = load_weights("weights.safetensors")  # Network() is untrained

61 blocks: 58 concat, 3 without a skip. It needs torch, load_weights safetensors.
Written by skipnas.
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


class DenseLayer(nn.Module):
    """F(x) = 3x3(ReLU(BN(1x1(ReLU(BN(x)))))), bottleneck·width wide in between: DenseNet-B's layer."""

    def __init__(self, in_width: int, width: int, bottleneck: int = 4) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(in_width)
        self.conv1 = nn.Conv2d(in_width, bottleneck * width, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(bottleneck * width)
        self.conv2 = nn.Conv2d(bottleneck * width, width, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        # (B, bottleneck·width, H, W)
        x = self.conv1(F.relu(self.norm1(x), inplace=True))
        return self.conv2(F.relu(self.norm2(x), inplace=True))


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


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = Conv7x7Pool(3, 64)
        self.blocks1_6 = nn.ModuleList(DenseLayer(w, 32) for w in range(64, 256, 32))
        self.block7 = Transition(256, 128, stride=2)
        self.blocks8_19 = nn.ModuleList(DenseLayer(w, 32) for w in range(128, 512, 32))
        self.block20 = Transition(512, 256, stride=2)
        self.blocks21_44 = nn.ModuleList()
        for w in range(256, 1024, 32):
            self.blocks21_44.append(DenseLayer(w, 32))
        self.block45 = Transition(1024, 512, stride=2)
        self.blocks46_61 = nn.ModuleList()
        for w in range(512, 1024, 32):
            self.blocks46_61.append(DenseLayer(w, 32))
        self.head = NormClassify(1024, 1000)
        for m in self.modules():
            if isinstance(m, nn.Conv2d) and m.bias is None:  # He et al. 2015
                nn.init.normal_(m.weight, std=(2 / m.weight[:, 0].numel()) ** 0.5)

    def forward_features(self, x: Tensor) -> Tensor:
        x = self.stem(x)  # (B, 64, 56, 56)
        for block in self.blocks1_6:
            x = torch.cat((x, block(x)), 1)  # concat: (B, 96…256, 56, 56)
        x = self.block7(x)  # (B, 128, 28, 28)
        for block in self.blocks8_19:
            x = torch.cat((x, block(x)), 1)  # concat: (B, 160…512, 28, 28)
        x = self.block20(x)  # (B, 256, 14, 14)
        for block in self.blocks21_44:
            x = torch.cat((x, block(x)), 1)  # concat: (B, 288…1024, 14, 14)
        x = self.block45(x)  # (B, 512, 7, 7)
        for block in self.blocks46_61:
            x = torch.cat((x, block(x)), 1)  # concat: (B, 544…1024, 7, 7)
        return x

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.forward_features(x))  # (B, 1000)

    def reset_classifier(self, num_classes: int) -> None:
        """Replace the last layer by an untrained one for another number of classes."""
        self.head.linear = nn.Linear(1024, num_classes).to(self.head.linear.weight)


def load_weights(path: str) -> Network:
    """Return the network in eval mode, with the weights of a .safetensors file."""
    from safetensors.torch import load_file

    network = Network()
    network.load_state_dict(load_file(path), strict=True)
    return network.eval()


TOPOLOGY = """
{"version":1,"input":[3,224,224],"stem":{"op":"conv7x7_pool","width":64},"blocks":[{"op":"dense_layer","width":32,"skip":{"kind":"concat"},"bottleneck":4},{"op":"dense_layer","width":32,"skip":{"kind":"concat"},"bottleneck":4},{"op":"dense_layer","width":32,"skip":{"kind":"concat"},"bottleneck":4},{"op":"dense_layer","width":32,"skip":{"kind":"concat"},"bottleneck":4},{"op":"dense_layer","width":32,"skip":{"kind":"concat"},"bottleneck":4},{"op":"dense_layer","width":32,"skip":{"kind":"concat"},"bottleneck":4},{"op":"transition","width":128,"stride":2},{"op":"dense_layer","width":32,"skip":{"kind":"concat"},"bottleneck":4},{"op":"dense_layer","width":32,"skip":{"kind":"concat"},"bottleneck":4},{"op":"dense_layer","width":32,"skip":{"kind":"concat"},"bottleneck":4},{"op":"dense_layer","width":32,"skip":{"kind":"concat"},"bottleneck":4},{"op":"dense_layer","width":32,"skip":{"kind":"concat"},"bottleneck":4},{"op":"dense_layer","width":32,"skip":{"kind":"concat"},"bottleneck":4},{"op":"dense_layer","width":32,"skip":{"kind":"concat"},"bottleneck":4},{"op":"dense_layer","width":32,"skip":{"kind":"concat"},"bottleneck":4},{"op":"dense_layer","width":32,"skip":{"kind":"concat"},"bottleneck":4},{"op":"dense_layer","width":32,"skip":{"kind":"concat"},"bottleneck":4},{"op":"dense_layer","width":32,"skip":{"kind":"concat"},"bottleneck":4},{"op":"dense_layer","width":32,"skip":{"kind":"concat"},"bottleneck":4},{"op":"transition","width":256,"stride":2},{"op":"dense_layer","width":32,"skip":{"kind":"concat"},"bottleneck":4},{"op":"dense_layer","width":32,"skip":{"kind":"concat"},"bottleneck":4},{"op":"dense_layer","width":32,"skip":{"kind":"concat"},"bottleneck":4},{"op":"dense_layer","width":32,"skip":{"kind":"concat"},"bottleneck":4},{"op":"dense_layer","width":32,"skip":{"kind":"concat"},"bottleneck":4},{"op":"dense_layer","width":32,"skip":{"kind":"concat"},"bottleneck":4},{"op":"dense_layer","width":32,"skip":{"kind":"concat"},"bottleneck":4},{"op":"dense_layer","width":32,"skip":{"kind":"concat"},"bottleneck":4},{"op":"dense_layer","width":32,"skip":{"kind":"concat"},"bottleneck":4},{"op":"dense_layer","width":32,"skip":{"kind":"concat"},"bottleneck":4},{"op":"dense_layer","width":32,"skip":{"kind":"concat"},"bottleneck":4},{"op":"dense_layer","width":32,"skip":{"kind":"concat"},"bottleneck":4},{"op":"dense_layer","width":32,"skip":{"kind":"concat"},"bottleneck":4},{"op":"dense_layer","width":32,"skip":{"kind":"concat"},"bottleneck":4},{"op":"dense_layer","width":32,"skip":{"kind":"concat"},"bottleneck":4},{"op":"dense_layer","width":32,"skip":{"kind":"concat"},"bottleneck":4},{"op":"dense_layer","width":32,"skip":{"kind":"concat"},"bottleneck":4},{"op":"dense_layer","width":32,"skip":{"kind":"concat"},"bottleneck":4},{"op":"dense_layer","width":32,"skip":{"kind":"concat"},"bottleneck":4},{"op":"dense_layer","width":32,"skip":{"kind":"concat"},"bottleneck":4},{"op":"dense_layer","width":32,"skip":{"kind":"concat"},"bottleneck":4},{"op":"dense_layer","width":32,"skip":{"kind":"concat"},"bottleneck":4},{"op":"dense_layer","width":32,"skip":{"kind":"concat"},"bottleneck":4},{"op":"dense_layer","width":32,"skip":{"kind":"concat"},"bottleneck":4},{"op":"transition","width":512,"stride":2},{"op":"dense_layer","width":32,"skip":{"kind":"concat"},"bottleneck":4},{"op":"dense_layer","width":32,"skip":{"kind":"concat"},"bottleneck":4},{"op":"dense_layer","width":32,"skip":{"kind":"concat"},"bottleneck":4},{"op":"dense_layer","width":32,"skip":{"kind":"concat"},"bottleneck":4},{"op":"dense_layer","width":32,"skip":{"kind":"concat"},"bottleneck":4},{"op":"dense_layer","width":32,"skip":{"kind":"concat"},"bottleneck":4},{"op":"dense_layer","width":32,"skip":{"kind":"concat"},"bottleneck":4},{"op":"dense_layer","width":32,"skip":{"kind":"concat"},"bottleneck":4},{"op":"dense_layer","width":32,"skip":{"kind":"concat"},"bottleneck":4},{"op":"dense_layer","width":32,"skip":{"kind":"concat"},"bottleneck":4},{"op":"dense_layer","width":32,"skip":{"kind":"concat"},"bottleneck":4},{"op":"dense_layer","width":32,"skip":{"kind":"concat"},"bottleneck":4},{"op":"dense_layer","width":32,"skip":{"kind":"concat"},"bottleneck":4},{"op":"dense_layer","width":32,"skip":{"kind":"concat"},"bottleneck":4},{"op":"dense_layer","width":32,"skip":{"kind":"concat"},"bottleneck":4},{"op":"dense_layer","width":32,"skip":{"kind":"concat"},"bottleneck":4}],"head":{"op":"norm_classify"},"outputs":1000}
"""

if __name__ == "__main__":
    network, x = Network().eval(), torch.randn(1, 3, 224, 224)
    for name, part in (*network.named_children(), ("total", network)):
        print(f"{name:14}{sum(p.numel() for p in part.parameters()):>14,}")
    with torch.inference_mode():
        ms = 1000 * min(timeit.repeat(lambda: network(x), number=1, repeat=3))
        print(f"{tuple(x.shape)} -> {tuple(network(x).shape)} in {ms:.1f} ms")
