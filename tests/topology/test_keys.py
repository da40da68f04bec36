"""Canonical keys are for ever: tables of results and studies are written by them.

tests/golden/keys.json holds the key of every reference and of 200 random topologies over every op, stem, head and kind
of skip. `pytest tests/topology/test_keys.py --overwrite-golden` adds what is missing and changes no key that is there.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterable
from typing import Any

import pytest

from nas.topology import Topology, references
from nas.topology.vocabulary import HEADS, JOINS, OPS, SCALES, STEMS
from tests.conftest import GOLDEN
from tests.helpers.topologies import random_topology

FILE = GOLDEN / "keys.json"
REFERENCES = (
    *("plain20", "plain56", "plain18", "plain34", "resnet18", "resnet34", "resnet50", "resnet101", "resnet152"),
    *("resnet20", "resnet56", "resnet110", "preact_resnet20", "preact_resnet110", "preact_resnet164"),
    *("wide_resnet50_2", "wide_resnet101_2", "wide_resnet16_1", "wide_resnet28_10"),
    *("densenet121", "densenet161", "densenet169", "densenet201", "densenet_40_12", "densenet_bc40", "densenet_bc100"),
    *("highway", "highway_conv11", "unet", "vit", "vit_b_16", "vit_b_32", "vit_l_16", "vit_l_32", "vit_h_14"),
    *("gpt2", "gpt2_small", "gpt2_medium", "gpt2_large", "gpt2_xl", "mobilenet_like"),
    *("denseformer", "denseformer_small_4", "attention_residuals", "rezero_transformer", "deepnorm_transformer"),
    *("convnext_tiny", "convnext_small", "convnext_base", "convnext_large"),
    *("resnext50_32x4d", "resnext101_32x8d", "resnext101_64x4d", "mobilenet_v2"),
    *("efficientnet_b0", "efficientnet_b1", "efficientnet_b2", "efficientnet_b3", "efficientnet_b4"),
    *("regnet_y_400mf", "regnet_y_800mf", "regnet_y_1_6gf", "regnet_y_3_2gf", "regnet_y_8gf", "regnet_y_16gf"),
    "regnet_y_32gf",
    "enas_macro_0_5_21_301_4100_20011",
    *("nas_bench_macro_00000000", "nas_bench_macro_01201201", "nas_bench_macro_22222222"),
)
RANDOM = 200


def words_of(topologies: Iterable[dict[str, Any]]) -> set[str]:
    """Every op, stem, head and kind of skip that the topologies use."""
    words: set[str] = set()
    for data in topologies:
        words |= {f"stem {data['stem']['op']}", f"head {data['head']['op']}"}
        for block in data["blocks"]:
            words.add(f"op {block['op']}")
            for skip in block.get("skips", [block["skip"]] if "skip" in block else []):
                words |= {f"skip {skip['kind']}", *_scales(skip.get("scale"))}
            words |= {*_scales(block.get("branch")), *(["several skips"] if "skips" in block else [])}
    return words


def _scales(scale: str | dict[str, Any] | None) -> list[str]:
    return [] if scale is None else [f"scale {scale if isinstance(scale, str) else scale['kind']}"]


VOCABULARY = {
    "several skips",
    *(f"stem {name}" for name in STEMS),
    *(f"head {name}" for name in HEADS),
    *(f"op {name}" for name in OPS),
    *(f"skip {name}" for name in JOINS),
    *(f"scale {name}" for name in SCALES),
}


def completed(known: dict[str, Any]) -> dict[str, Any]:
    """The golden keys, and those of the references and of random topologies that are not among them yet."""
    found = {name: references.get(name).key for name in REFERENCES} | known.get("references", {})
    drawn, rng = dict(known.get("random", {})), random.Random(len(known.get("random", {})))
    while len(drawn) < RANDOM or VOCABULARY - words_of(drawn.values()):
        topology = random_topology(rng, max_blocks=4)
        news = VOCABULARY & words_of([topology.to_dict()]) - words_of(drawn.values())
        if len(drawn) < RANDOM or news:
            drawn.setdefault(topology.key, topology.to_dict())
    return {"references": found, "random": drawn}


@pytest.fixture(scope="module")
def keys(request: pytest.FixtureRequest) -> dict[str, Any]:
    known: dict[str, Any] = json.loads(FILE.read_text()) if FILE.is_file() else {}
    if request.config.getoption("--overwrite-golden"):
        known = completed(known)
        lines = (f"  {json.dumps(key)}: {json.dumps(data)}" for key, data in known["random"].items())
        named = json.dumps(known["references"], indent=1)
        FILE.write_text(f'{{"references": {named},\n"random": {{\n' + ",\n".join(lines) + "\n}}\n")
    return known


def test_no_key_of_a_reference_has_changed(keys: dict[str, Any]) -> None:
    assert set(REFERENCES) <= keys["references"].keys()
    for name, key in keys["references"].items():
        assert references.get(name).key == key, f"{name}: its key must stay {key}, tables and studies are written by it"


def test_no_key_of_a_random_topology_has_changed(keys: dict[str, Any]) -> None:
    assert len(keys["random"]) >= RANDOM
    for key, data in keys["random"].items():
        topology = Topology.from_dict(data)
        assert topology.key == key, f"the key of {topology.describe()} must stay {key}: studies are written by it"


def test_every_word_of_the_vocabulary_has_a_golden_key(keys: dict[str, Any]) -> None:
    missing = VOCABULARY - words_of(keys["random"].values())
    assert not missing, (
        f"no golden key uses {', '.join(sorted(missing))}: "
        "add some with pytest tests/topology/test_keys.py --overwrite-golden"
    )


def test_every_family_of_references_has_a_golden_key(keys: dict[str, Any]) -> None:
    missing = [name for name in references.REFERENCES if not any(key.startswith(name) for key in keys["references"])]
    assert not missing, f"add {', '.join(missing)} to REFERENCES here, then run this file with --overwrite-golden"
