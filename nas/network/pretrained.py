"""torchvision's weights in our networks: one table of names for each family, and the loader that uses it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from nas.errors import TopologyError, expected
from nas.topology import references

if TYPE_CHECKING:
    from torch import Tensor

    from nas.network import Network

RESNET = (
    (r"^conv1\.", "stem.conv."),
    (r"^bn1\.", "stem.norm."),
    (r"\.bn(\d)\.", r".transform.norm\1."),
    (r"(layer\S+?)\.conv(\d)\.", r"\1.transform.conv\2."),
    (r"\.downsample\.0\.", ".project.conv."),
    (r"\.downsample\.1\.", ".project.norm."),
    (r"^fc\.", "head.linear."),
)
DENSENET = (
    (r"^features\.conv0\.", "stem.conv."),
    (r"^features\.norm0\.", "stem.norm."),
    (r"\.denselayer\d+\.", r"\g<0>transform."),
    (r"(transition\d+)\.", r"\1.0.transform."),
    (r"^features\.norm5\.", "head.norm."),
    (r"^classifier\.", "head.linear."),
)
VIT = (
    (r"^class_token$", "stem.class_token"),
    (r"^conv_proj\.", "stem.projection."),
    (r"^encoder\.pos_embedding$", "stem.position"),
    (r"(encoder_layer_\d+)\.ln_1\.", r"\1.0.transform.norm."),
    (r"(encoder_layer_\d+)\.self_attention\.in_proj_", r"\1.0.transform.qkv."),
    (r"(encoder_layer_\d+)\.self_attention\.out_proj\.", r"\1.0.transform.out."),
    (r"(encoder_layer_\d+)\.ln_2\.", r"\1.1.transform.norm."),
    (r"(encoder_layer_\d+)\.mlp\.(?:0|linear_1)\.", r"\1.1.transform.expand."),
    (r"(encoder_layer_\d+)\.mlp\.(?:3|linear_2)\.", r"\1.1.transform.project."),
    (r"^encoder\.ln\.", "head.norm."),
    (r"^heads\.head\.", "head.linear."),
)
CONVNEXT = (
    (r"^features\.0\.0\.", "stem.conv."),
    (r"^features\.0\.1\.", "stem.norm."),
    (r"^(features\.[246])\.0\.", r"\1.transform.norm."),
    (r"^(features\.[246])\.1\.", r"\1.transform.conv."),
    (r"\.layer_scale$", ".transform.scale"),
    (r"\.block\.0\.", ".transform.depthwise."),
    (r"\.block\.2\.", ".transform.norm."),
    (r"\.block\.3\.", ".transform.expand."),
    (r"\.block\.5\.", ".transform.project."),
    (r"^classifier\.0\.", "head.norm."),
    (r"^classifier\.2\.", "head.linear."),
)
MOBILENET_V2 = (
    (r"^features\.0\.0\.", "stem.conv."),
    (r"^features\.0\.1\.", "stem.norm."),
    (r"^(features\.1)\.conv\.0\.", r"\1.transform.depthwise."),
    (r"^(features\.1)\.conv\.1\.", r"\1.transform.project.0."),
    (r"^(features\.1)\.conv\.2\.", r"\1.transform.project.1."),
    (r"\.conv\.0\.", ".transform.expand."),
    (r"\.conv\.1\.", ".transform.depthwise."),
    (r"\.conv\.2\.", ".transform.project.0."),
    (r"\.conv\.3\.", ".transform.project.1."),
    (r"^(features\.18)\.0\.", r"\1.transform.conv."),
    (r"^(features\.18)\.1\.", r"\1.transform.norm."),
    (r"^classifier\.1\.", "head.linear."),
)
EFFICIENTNET = (
    (r"^features\.0\.0\.", "stem.conv."),
    (r"^features\.0\.1\.", "stem.norm."),
    (r"\.block\.\d\.fc1\.", ".transform.se.squeeze."),
    (r"\.block\.\d\.fc2\.", ".transform.se.excite."),
    (r"^(features\.1\.\d+)\.block\.0\.", r"\1.transform.depthwise."),
    (r"^(features\.1\.\d+)\.block\.2\.", r"\1.transform.project."),
    (r"\.block\.0\.", ".transform.expand."),
    (r"\.block\.1\.", ".transform.depthwise."),
    (r"\.block\.3\.", ".transform.project."),
    (r"^(features\.8)\.0\.", r"\1.transform.conv."),
    (r"^(features\.8)\.1\.", r"\1.transform.norm."),
    (r"^classifier\.1\.", "head.linear."),
)
REGNET = (
    (r"^stem\.0\.", "stem.conv."),
    (r"^stem\.1\.", "stem.norm.0."),
    (r"\.proj\.0\.", ".project.conv."),
    (r"\.proj\.1\.", ".project.norm."),
    (r"\.f\.se\.fc1\.", ".transform.se.squeeze."),
    (r"\.f\.se\.fc2\.", ".transform.se.excite."),
    (r"\.f\.a\.0\.", ".transform.conv1."),
    (r"\.f\.a\.1\.", ".transform.norm1."),
    (r"\.f\.b\.0\.", ".transform.conv2."),
    (r"\.f\.b\.1\.", ".transform.norm2."),
    (r"\.f\.c\.0\.", ".transform.conv3."),
    (r"\.f\.c\.1\.", ".transform.norm3."),
    (r"^fc\.", "head.linear."),
)
# what names a block in torchvision, in the order of the blocks: what stands before `transform` or `project`
FAMILIES = {
    "resnet": RESNET,
    "wide_resnet": RESNET,
    "resnext": RESNET,
    "densenet": DENSENET,
    "vit": VIT,
    "convnext": CONVNEXT,
    "mobilenet_v2": MOBILENET_V2,
    "efficientnet": EFFICIENTNET,
    "regnet_y": REGNET,
}


def from_torchvision(name: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return torchvision's state_dict of the model `name` under the names of `build(references.get(name))`."""
    renames = FAMILIES[_family(name)]
    places: dict[str, int] = {}
    mapped = {}
    for key, value in state.items():
        for pattern, replacement in renames:
            key = re.sub(pattern, replacement, key)
        place, part, rest = key.partition(".transform.")
        if not part:
            place, part, rest = key.partition(".project.")
        if part:  # blocks are numbered in the order in which they appear
            key = f"blocks.{places.setdefault(place, len(places))}{part}{rest}"
        mapped[key] = value.flatten() if key.endswith(".transform.scale") else value  # theirs is (C, 1, 1)
    return mapped


def load_pretrained(name: str) -> Network:
    """Return the reference `name`, of one of FAMILIES (resnet18, convnext_tiny), with torchvision's pretrained weights.

    torchvision downloads them on first use. Raises TopologyError for a family that it does not have.
    """
    _family(name)
    import torchvision

    from nas.network import build

    network = build(references.get(name))
    weights = torchvision.models.get_model_weights(name).DEFAULT
    network.load_state_dict(from_torchvision(name, weights.get_state_dict(progress=True)))
    return network.eval()


def _family(name: str) -> str:
    for family in FAMILIES:
        if re.match(rf"{family}(?![a-z])", name):
            return family
    raise TopologyError(expected("the family of a pretrained network", name, FAMILIES))
