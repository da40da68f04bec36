"""unet: 31,037,633 parameters, (B, 3, 256, 256) -> (B, 1, 256, 256).

    network = load_weights("weights.safetensors")  # Network() is untrained

17 blocks: 4 long concat, 13 without a skip; y1 is the output of block 1. It needs
torch, load_weights safetensors. Written by skipnas.
"""

import timeit

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class DoubleConv(nn.Module):
    """F(x) = ReLU(BN(3x3(ReLU(BN(3x3(x)))))): a level of U-Net, with norm (Ronneberger et al. 2015).

    The width between the two convolutions is `middle`; 0 means `width`.
    """

    def __init__(self, in_width: int, width: int, middle: int = 0) -> None:
        super().__init__()
        middle = middle or width
        self.conv1 = nn.Conv2d(in_width, middle, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(middle)
        self.conv2 = nn.Conv2d(middle, width, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.norm1(self.conv1(x)), inplace=True)  # (B, middle, H, W)
        return F.relu(self.norm2(self.conv2(x)), inplace=True)


class UpConv(nn.Module):
    """F(x) = x at `scale` times the resolution: a transposed convolution, or interpolation and a 1×1 convolution.

    The up-convolution of U-Net (Ronneberger et al. 2015, arXiv:1505.04597), which starts at N(0, 2 / inputs of an
    output). An interpolation that keeps the width has no parameters.
    """

    def __init__(
        self,
        in_width: int,
        width: int,
        scale: int = 2,
        up: str = "transposed",
    ) -> None:
        super().__init__()
        self.up: nn.Module
        if up == "transposed":
            self.up = nn.ConvTranspose2d(in_width, width, scale, stride=scale)
            nn.init.normal_(self.up.weight, std=(2 / in_width) ** 0.5)
            nn.init.zeros_(self.up.bias)  # type: ignore[arg-type]
        else:
            corners = True if up == "bilinear" else None
            self.up = nn.Upsample(scale_factor=scale, mode=up, align_corners=corners)
        fits = up == "transposed" or in_width == width
        self.fit = nn.Identity() if fits else nn.Conv2d(in_width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.up(self.fit(x))  # (B, width, H·scale, W·scale)


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.block1 = DoubleConv(3, 64)
        self.block2 = nn.MaxPool2d(2)
        self.block3 = DoubleConv(64, 128)
        self.block4 = nn.MaxPool2d(2)
        self.block5 = DoubleConv(128, 256)
        self.block6 = nn.MaxPool2d(2)
        self.block7 = DoubleConv(256, 512)
        self.block8 = nn.MaxPool2d(2)
        self.block9 = DoubleConv(512, 1024)
        self.block10 = UpConv(1024, 512)
        self.block11 = DoubleConv(1024, 512)
        self.block12 = UpConv(512, 256)
        self.block13 = DoubleConv(512, 256)
        self.block14 = UpConv(256, 128)
        self.block15 = DoubleConv(256, 128)
        self.block16 = UpConv(128, 64)
        self.block17 = DoubleConv(128, 64)
        self.head = nn.Conv2d(64, 1, 1)
        for m in self.modules():
            if isinstance(m, nn.Conv2d) and m.bias is None:  # He et al. 2015
                nn.init.normal_(m.weight, std=(2 / m.weight[:, 0].numel()) ** 0.5)

    def forward_features(self, x: Tensor) -> Tensor:
        x = y1 = self.block1(x)  # (B, 64, 256, 256)
        x = self.block2(x)  # (B, 64, 128, 128)
        x = y3 = self.block3(x)  # (B, 128, 128, 128)
        x = self.block4(x)  # (B, 128, 64, 64)
        x = y5 = self.block5(x)  # (B, 256, 64, 64)
        x = self.block6(x)  # (B, 256, 32, 32)
        x = y7 = self.block7(x)  # (B, 512, 32, 32)
        x = self.block8(x)  # (B, 512, 16, 16)
        x = self.block9(x)  # (B, 1024, 16, 16)
        x = torch.cat((y7, self.block10(x)), 1)  # concat y7: (B, 1024, 32, 32)
        x = self.block11(x)  # (B, 512, 32, 32)
        x = torch.cat((y5, self.block12(x)), 1)  # concat y5: (B, 512, 64, 64)
        x = self.block13(x)  # (B, 256, 64, 64)
        x = torch.cat((y3, self.block14(x)), 1)  # concat y3: (B, 256, 128, 128)
        x = self.block15(x)  # (B, 128, 128, 128)
        x = torch.cat((y1, self.block16(x)), 1)  # concat y1: (B, 128, 256, 256)
        return self.block17(x)  # (B, 64, 256, 256)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.forward_features(x))  # (B, 1, 256, 256)

    def reset_classifier(self, num_classes: int) -> None:
        """Replace the last layer by an untrained one for another number of classes."""
        self.head = nn.Conv2d(64, num_classes, 1).to(self.head.weight)


def load_weights(path: str) -> Network:
    """Return the network in eval mode, with the weights of a .safetensors file."""
    from safetensors.torch import load_file

    network = Network()
    network.load_state_dict(load_file(path), strict=True)
    return network.eval()


TOPOLOGY = """
{"version":1,"input":[3,256,256],"stem":{"op":"identity"},"blocks":[{"op":"double_conv","width":64,"middle":0},{"op":"maxpool","stride":2,"kernel":2},{"op":"double_conv","width":128,"middle":0},{"op":"maxpool","stride":2,"kernel":2},{"op":"double_conv","width":256,"middle":0},{"op":"maxpool","stride":2,"kernel":2},{"op":"double_conv","width":512,"middle":0},{"op":"maxpool","stride":2,"kernel":2},{"op":"double_conv","width":1024,"middle":0},{"op":"upconv","width":512,"skip":{"kind":"concat","source":7},"scale":2,"up":"transposed"},{"op":"double_conv","width":512,"middle":0},{"op":"upconv","width":256,"skip":{"kind":"concat","source":5},"scale":2,"up":"transposed"},{"op":"double_conv","width":256,"middle":0},{"op":"upconv","width":128,"skip":{"kind":"concat","source":3},"scale":2,"up":"transposed"},{"op":"double_conv","width":128,"middle":0},{"op":"upconv","width":64,"skip":{"kind":"concat","source":1},"scale":2,"up":"transposed"},{"op":"double_conv","width":64,"middle":0}],"head":{"op":"conv1x1"},"outputs":1}
"""

if __name__ == "__main__":
    network, x = Network().eval(), torch.randn(1, 3, 256, 256)
    for name, part in (*network.named_children(), ("total", network)):
        print(f"{name:14}{sum(p.numel() for p in part.parameters()):>14,}")
    with torch.inference_mode():
        ms = 1000 * min(timeit.repeat(lambda: network(x), number=1, repeat=3))
        print(f"{tuple(x.shape)} -> {tuple(network(x).shape)} in {ms:.1f} ms")
