"""network.onnx and network.pt2: equal in another library, for any batch, and written only when they are."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from nas.errors import ExportError
from nas.export import export_code, export_topology, proof, verify_all
from nas.export.formats import FORMATS, Format, check_formats
from nas.export.verification import Case
from nas.network import build
from nas.network.samples import sample_inputs
from tests.export.test_write import written
from tests.helpers.topologies import SMALL, TINY

torch.set_num_threads(1)
ONE = TINY["linear"]


@pytest.mark.slow
def test_one_of_every_family_is_equal(tmp_path: Path) -> None:
    cases = [Case(case.path, case.topology, formats=("onnx", "pt2")) for case in written(list(TINY.values()), tmp_path)]
    for case, found in zip(cases, verify_all(cases), strict=True):
        assert found.formats.keys() == {"onnx", "pt2"}
        assert found.formats["onnx"] <= 1e-4 and found.formats["pt2"] <= 1e-6, case.topology.describe()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet18", "densenet121", "unet", "vit_b_16", "gpt2"])
def test_published_networks_in_every_format(name: str, tmp_path: Path) -> None:
    from nas.topology import references

    folder = export_topology(references.get(name), tmp_path / name, formats=["onnx", "pt2"])
    assert {path.name for path in folder.iterdir()} == {"network.py", "card.md", "network.onnx", "network.pt2"}


@pytest.fixture(scope="module")
def gpt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("formats") / "gpt"
    weights = build(SMALL["gpt"]).state_dict()
    return export_topology(SMALL["gpt"], folder, weights=weights, formats=["py", "onnx", "pt2", "onnx"])


def test_they_hold_the_weights_and_read_any_batch(gpt: Path) -> None:
    """Sizes that none of them was made or proven with."""
    import onnxruntime

    from tests.helpers.exported import loaded

    network = loaded(gpt / "network.py").load_weights(str(gpt / "weights.safetensors"))
    session = onnxruntime.InferenceSession(gpt / "network.onnx")
    program = torch.export.load(gpt / "network.pt2")
    assert [(x.name, x.shape) for x in session.get_inputs()] == [("x", ["batch", "tokens"])]
    assert [(y.name, y.shape) for y in session.get_outputs()] == [("logits", ["batch", "tokens", 50])]
    for x in (sample_inputs(SMALL["gpt"], 5)[:, :2], sample_inputs(SMALL["gpt"], 1)):
        torch.testing.assert_close(torch.from_numpy(session.run(None, {"x": x.numpy()})[0]), network(x))
        torch.testing.assert_close(program.module()(x), network(x))
    assert program.state_dict.keys() == load_file(gpt / "weights.safetensors").keys()


def test_the_card_says_how_to_load_them(gpt: Path, tmp_path: Path) -> None:
    card = (gpt / "card.md").read_text()
    assert "`network.onnx` runs in onnxruntime" in card
    assert 'torch.export.load("network.pt2")' in card
    assert "onnx" not in (export_topology(ONE, tmp_path) / "card.md").read_text()


def test_they_do_not_say_where_they_were_made(gpt: Path) -> None:
    for name in ("network.onnx", "network.pt2"):
        content = (gpt / name).read_bytes()
        assert b"nas-export-" not in content and b"site-packages" not in content


@pytest.mark.slow
def test_beside_a_file_of_any_name(tmp_path: Path) -> None:
    export_code(ONE, tmp_path / "mine.py", formats=["pt2"])
    assert {path.name for path in tmp_path.iterdir()} == {"mine.py", "mine.pt2"}


def test_one_that_differs_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scripts = tmp_path / "scripts"
    scripts.mkdir()
    original = Path(str(proof.__file__))
    shutil.copy(original, scripts)
    text = original.with_name("conversion.py").read_text()
    spoiled = text.replace("torch.export.export(network,", "torch.export.export(nn.Sequential(network, nn.Softmax(1)),")
    assert spoiled != text
    (scripts / "conversion.py").write_text(spoiled)
    monkeypatch.setattr(proof, "__file__", str(scripts / "proof.py"))
    with pytest.raises(ExportError, match=r"network\.pt2 does not compute the network: its logits differ by"):
        export_topology(ONE, tmp_path / "out", formats=["pt2"])
    assert not (tmp_path / "out").exists()


def test_one_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ExportError, match="did you mean 'onnx'"):
        export_topology(ONE, tmp_path / "out", formats=["onxx"])
    monkeypatch.setitem(FORMATS, "onnx", Format(1e-4, ("onnx", "a_package_that_nobody_has")))
    with pytest.raises(ExportError, match=r"needs a_package_that_nobody_has: pip install 'skipnas\[onnx\]'"):
        export_topology(ONE, tmp_path / "out", formats=["onnx"])
    assert not (tmp_path / "out").exists()
    assert check_formats(["py"]) == ()
