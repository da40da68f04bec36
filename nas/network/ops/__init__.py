"""The torch modules. MODULES is every class that a constructor call may name; each file imports torch alone."""

from __future__ import annotations

from torch import nn

from nas.network.ops.convolution import Conv, ConvNeXt, DoubleConv, MBConv, UpConv
from nas.network.ops.dense import DenseLayer, DenseLayerPlain, Transition
from nas.network.ops.heads import Classify, ClassifySequence, ClassToken, Conv1x1, LanguageModel, NormClassify
from nas.network.ops.linear import Linear
from nas.network.ops.residual import Basic, Bottleneck, PreAct, PreActBottleneck
from nas.network.ops.skips import Add, Concat, Gate, LinearGate, Mul, PadLast, Project, Resize, ZeroPad
from nas.network.ops.stems import Conv3x3, Conv7x7Pool, Flatten, Input, LinearStem, Patch, Token
from nas.network.ops.transformer import Attention, FeedForward

MODULES: dict[str, type[nn.Module]] = {
    module.__name__: module
    for module in (
        *(Conv3x3, Conv7x7Pool, Patch, Token, LinearStem, Flatten, Input),
        *(Basic, Bottleneck, PreAct, PreActBottleneck),
        *(Conv, DoubleConv, UpConv, MBConv, ConvNeXt),
        *(DenseLayer, DenseLayerPlain, Transition),
        *(Attention, FeedForward, Linear),
        *(Resize, Project, ZeroPad, PadLast, Add, Concat, Mul, Gate, LinearGate),
        *(Classify, ClassifySequence, NormClassify, Conv1x1, ClassToken, LanguageModel),
    )
} | {f"nn.{module.__name__}": module for module in (nn.Identity, nn.Linear, nn.LayerNorm, nn.MaxPool2d, nn.ReLU)}
