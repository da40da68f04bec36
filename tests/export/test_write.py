"""The exported file: equal to the network, plain, formatted, and written only when it is."""

from __future__ import annotations

import ast
import dataclasses
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from nas.errors import ExportError
from nas.export import export_code, export_topology, read_topology, verification, verify, verify_all, write
from nas.export.source import write_source
from nas.export.verification import Case
from nas.network import build
from nas.topology import Topology, references
from nas.topology.block import Block, Head, Skip, Stem
from nas.topology.vocabulary import HEADS, JOINS, OPS, STEMS
from tests.conftest import GOLDEN
from tests.helpers.exported import loaded
from tests.helpers.topologies import SMALL, TINY, random_topology

torch.set_num_threads(1)

TASK = (3, 16, 16)


def every_word() -> Iterator[Topology]:
    """Every op with every kind of skip, short and long, every stem and every head, at least once."""
    for name, op in OPS.items():
        for kind in JOINS:
            yield _around(name, Skip(kind), op.layouts[-1])
            yield _around(name, Skip(kind, 0, "pad"), op.layouts[0])
    for name in STEMS:
        if name not in ("patch", "token"):
            yield Topology(TASK, Stem(name, None if STEMS[name].fixed_width else 4), (), Head("classify"), 3)
    for up in ("transposed", "bilinear", "nearest"):
        yield Topology(
            TASK,
            Stem("conv3x3", 4),
            (Block("maxpool", stride=2), Block("upconv", 4, skips=Skip("add", 0), options={"up": up})),
            Head("conv1x1"),
            3,
        )


def _around(op: str, skip: Skip, layout: str) -> Topology:
    """A block of that op between two others, with that skip."""
    ends = {
        "image": ((3, 8, 8), Stem("conv3x3", 4), "norm_classify", "conv"),
        "sequence": ((8,), Stem("token", 4, {"vocabulary": 7}), "classify", "linear"),
        "vector": ((5,), Stem("linear", 4), "classify", "linear"),
    }
    input, stem, head, plain = ends[layout]
    width = None if OPS[op].keeps_width else 8
    stride = 2 if OPS[op].strided and layout == "image" else 1
    return Topology(input, stem, (Block(plain, 4), Block(op, width, stride, skip), Block(plain, 4)), Head(head), 3)


def sample(count: int, seed: int = 0) -> list[Topology]:
    rng = random.Random(seed)
    families = ["image", "image", "sequence", "vector"]
    return [random_topology(rng, families[place % len(families)], max_blocks=9) for place in range(count)]


def written(topologies: list[Topology], folder: Path) -> list[Case]:
    """Unproven files of all of them."""
    cases = []
    for number, topology in enumerate(topologies):
        path = folder / f"network_{number}.py"
        path.write_text(write_source(topology, f"network {number}", 0), encoding="utf-8")
        cases.append(Case(path, topology))
    return cases


def tool(*arguments: str | Path) -> None:
    done = subprocess.run([sys.executable, "-m", *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


# ------------------------------------------------------------------------------------------------ equal, and clean


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> list[Case]:
    folder = tmp_path_factory.mktemp("exported")
    return written([*every_word(), *SMALL.values(), *sample(30)], folder)


def test_every_word_is_exported(cases: list[Case]) -> None:
    """The sample is what it claims to be."""
    blocks = [block for case in cases for block in case.topology.blocks]
    long = {skip.kind for block in blocks for skip in block.skips if skip.source is not None}
    assert {block.op for block in blocks} == set(OPS)
    assert long == set(JOINS)
    assert {case.topology.stem.op for case in cases} == set(STEMS)
    assert {case.topology.head.op for case in cases} == set(HEADS)


def test_exported_networks_are_equal(cases: list[Case]) -> None:
    proofs = verify_all(cases)
    assert len(proofs) == len(cases)
    assert max(proof.logits for proof in proofs) <= 1e-5
    assert max(proof.gradients for proof in proofs) <= 1e-5


def test_exported_files_are_clean(cases: list[Case]) -> None:
    """By ruff's defaults, and by a stranger's choice of another width."""
    folder = cases[0].path.parent
    tool("ruff", "check", "--isolated", "--select=E,F,W,I,UP,B,C4,SIM,RET,PTH,PIE", "--ignore=E501", folder)
    for width in (88, 100, 120, 200):
        tool("ruff", "format", "--isolated", "--check", f"--line-length={width}", folder)


@pytest.mark.slow
def test_exported_files_are_typed(cases: list[Case], tmp_path: Path) -> None:
    some = [case.path for case in cases]
    tool("mypy", "--config-file=", "--disallow-untyped-defs", f"--cache-dir={tmp_path}", *some)


def test_exported_files_carry_their_topology(cases: list[Case]) -> None:
    for case in cases:
        assert read_topology(case.path) == case.topology


@pytest.mark.slow
def test_five_hundred_random_networks(tmp_path: Path) -> None:
    cases = written(sample(500, seed=2), tmp_path)
    verify_all(cases)
    tool("ruff", "check", "--isolated", "--select=E,F,W,I,UP,B,C4,SIM,RET,PTH,PIE", "--ignore=E501", tmp_path)
    tool("ruff", "format", "--isolated", "--check", tmp_path)
    tool("ruff", "check", "--isolated", tmp_path)
    tool("ruff", "format", "--isolated", "--check", tmp_path)
    tool("mypy", "--config-file=", f"--cache-dir={tmp_path / 'cache'}", *(case.path for case in cases))


# ------------------------------------------------------------------------------------------------- what is written


def text_of(topology: Topology, title: str) -> str:
    """The file, as `nas export` writes it."""
    return write_source(topology, title, sum(p.numel() for p in build(topology, device="meta").parameters()))


@pytest.mark.parametrize("name", ["resnet18", "densenet121", "unet", "vit_b_16", "gpt2", "highway", "highway_conv"])
def test_golden_references(name: str, golden: Callable[[str, str], None]) -> None:
    golden(f"network_{name}.py", text_of(references.get(name), name))


WINNERS = {
    "mixed": (
        Block("basic", 16, skips=Skip("concat")),
        Block("basic", 16, skips=Skip("add")),
        Block("preact", 32, 2, Skip("add")),
        Block("conv", 32),
        Block("conv", 32),
        Block("conv", 32),
        Block("conv", 32, skips=Skip("gate", 2)),
        Block("mbconv", 32, skips=Skip("mul"), options={"kernel": 5, "activation": "relu6", "expansion": 3}),
        Block("basic", 64, 2, skips=Skip("add", shortcut="pad")),
        Block("basic", 64, skips=Skip("add", 3)),
    ),
    "loops": (
        *[Block("dense_layer_plain", 8, skips=Skip("concat"))] * 4,
        Block("transition", 24, 2),
        *[Block("conv", 24)] * 3,
        *[Block("conv", 24, skips=Skip("gate"))] * 3,
        *[Block("basic", 24, skips=Skip("add"))] * 5,
        Block("conv", 24, skips=Skip("concat", 4)),
    ),
}


@pytest.mark.parametrize("name", WINNERS)
def test_golden_winners(name: str, golden: Callable[[str, str], None]) -> None:
    topology = Topology((1, 8, 8), Stem("conv3x3", 16), WINNERS[name], Head("classify"), 10)
    golden(f"network_{name}.py", text_of(topology, f"a winner: {name}"))


@pytest.mark.parametrize("number", [1, 2, 3])
def test_golden_candidates(number: int, golden: Callable[[str, str], None]) -> None:
    """Three topologies of 12 to 16 blocks for digits, drawn at random once: each file says what it is written from."""
    name = f"network_digits_{number}.py"
    golden(name, text_of(read_topology(GOLDEN / name), f"digits, trial {number}"))


@pytest.mark.parametrize(("name", "most"), [("resnet18", 120), ("unet", 150)])
def test_files_are_short(name: str, most: int) -> None:
    assert len(write_source(references.get(name), name, 0).splitlines()) <= most


def test_depth_costs_no_lines() -> None:
    """Runs of blocks are loops: sixteen times as deep, as long a file."""
    short, long = (write_source(references.resnet(depth), "resnet", 0).splitlines() for depth in (56, 110))
    assert len(short) == len(long)


def test_plain_python_instead_of_machinery(cases: list[Case]) -> None:
    ours = {
        "Add",
        "Concat",
        "Mul",
        "Resize",
        "JoinedBlock",
        "Classify",
        "ClassifySequence",
        "Conv1x1",
        "Flatten",
        "Input",
    }
    for case in cases:
        tree = ast.parse(case.path.read_text(encoding="utf-8"))
        classes = {node.name for node in tree.body if isinstance(node, ast.ClassDef)}
        called = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        assert "Network" in classes and not classes & ours
        assert classes - {"Network"} <= called  # no class that nothing uses
        roots = {alias.name.split(".")[0] for node in tree.body if isinstance(node, ast.Import) for alias in node.names}
        roots |= {(node.module or "").split(".")[0] for node in tree.body if isinstance(node, ast.ImportFrom)}
        assert roots <= {"torch", "timeit"}


# ------------------------------------------------------------------------------------------- files, and their weights


def trained(topology: Topology) -> torch.nn.Module:
    """As good as trained: no parameter or statistic is as it began."""
    network = build(topology)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
        for statistic in network.buffers():
            statistic.add_(torch.rand(statistic.shape).to(statistic.dtype))
    return network.eval()


@pytest.mark.parametrize("name", ["densenet_bc40", "gpt"])
def test_weights_load_strictly_and_give_the_same_logits(name: str, tmp_path: Path) -> None:
    topology = SMALL[name]
    network = trained(topology)
    path = export_code(topology, tmp_path, weights=network.state_dict())
    assert path == tmp_path / "network.py"
    x = torch.randint(50, (2, 16)) if name == "gpt" else torch.randn(2, 3, 32, 32)
    exported = loaded(path).load_weights(str(tmp_path / "weights.safetensors"))
    assert not exported.training
    assert network(x).isfinite().all()
    torch.testing.assert_close(exported(x), network(x), rtol=1e-5, atol=1e-5)
    again = loaded(path).Network()
    again.load_state_dict(load_file(tmp_path / "weights.safetensors"), strict=True)
    if name == "gpt":
        assert exported.head.decoder.weight is exported.stem.token.weight


def test_a_file_of_any_name_names_its_weights(tmp_path: Path) -> None:
    topology = SMALL["highway"]
    path = export_code(topology, tmp_path / "mine.py", weights=build(topology).state_dict())
    assert (tmp_path / "mine.safetensors").is_file()
    assert 'load_weights("mine.safetensors")' in path.read_text(encoding="utf-8")


def test_a_reference_exports_to_a_file(tmp_path: Path) -> None:
    assert export_topology(SMALL["highway"], tmp_path / "mine.py") == tmp_path / "mine.py"
    assert [path.name for path in tmp_path.iterdir()] == ["mine.py"]


def test_the_file_runs_with_torch_alone(tmp_path: Path) -> None:
    path = export_code(SMALL["highway"], tmp_path)
    alone = (
        "import runpy, sys; sys.modules |= {'nas': None, 'safetensors': None}; "
        "runpy.run_path(sys.argv[1], run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-I", "-c", alone, path], capture_output=True, text=True, check=True)
    assert "80,560" in done.stdout
    assert "(1, 1, 28, 28) -> (1, 10) in" in done.stdout


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ("+ x)", "- x)", "its (logits|gradients) differ"),
        ("import timeit", "import timeit\nimport nas", "No module named 'nas'|import of nas halted"),
        ("self.block2 =", "self.another =", "does not run by itself"),
    ],
)
def test_a_file_that_differs_is_not_written(
    right: str, wrong: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoiled(*arguments: object) -> str:
        text = write_source(*arguments)  # type: ignore[arg-type]
        assert right in text
        return text.replace(right, wrong, 1)

    topology = Topology(
        (1, 8, 8),
        Stem("conv3x3", 4),
        (*[Block("basic", 4, skips=Skip("add"))] * 2, Block("conv", 4), Block("conv", 4, skips=Skip("concat"))),
        Head("classify"),
        3,
    )
    (tmp_path / "network.py").write_text("the old one")
    monkeypatch.setattr(write, "write_source", spoiled)
    with pytest.raises(ExportError, match=said):
        export_code(topology, tmp_path, weights=trained(topology).state_dict())
    assert [path.name for path in tmp_path.iterdir()] == ["network.py"]
    assert (tmp_path / "network.py").read_text() == "the old one"


def test_a_gradient_that_differs_is_found(tmp_path: Path) -> None:
    """Equal logits do not hide a detached branch."""
    topology = Topology((5,), Stem("linear", 4), (Block("linear", 4, skips=Skip("add")),), Head("classify"), 3)
    path = tmp_path / "network.py"
    path.write_text(
        write_source(topology, "x", 0).replace("self.block1(x) + x", "self.block1(x) + x.detach()"), "utf-8"
    )
    with pytest.raises(ExportError, match=r"its gradients differ by"):
        verify(path, topology)


@pytest.mark.parametrize("shape", [(), (1,), (1, 4)])
def test_a_parameter_of_any_shape_that_is_used_wrongly_is_found(
    shape: tuple[int, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A learned scale that begins at 0: exp(α) − 1 has the value and the derivative of α there, and nowhere else."""
    topology = Topology((5,), Stem("linear", 4), (Block("linear", 4, skips=Skip("add")),), Head("classify"), 3)

    def scaled(topology: Topology) -> torch.nn.Module:
        network = build(topology)
        branch = network.blocks[0].transform
        branch.alpha = torch.nn.Parameter(torch.zeros(shape))
        branch.register_forward_hook(lambda module, _, y: module.alpha * y)
        return network

    def exported(alpha: str) -> str:
        text = write_source(topology, "x", 0).replace(
            "return self.block1(x) + x", f"return {alpha} * self.block1(x) + x"
        )
        made = "self.block1 = Linear(4, 4)"
        return text.replace(made, f"{made}\n        self.block1.alpha = nn.Parameter(torch.zeros({shape}))")

    monkeypatch.setattr("nas.network.build", scaled)
    torch.manual_seed(0)
    right, wrong = tmp_path / "right.py", tmp_path / "wrong.py"
    right.write_text(exported("self.block1.alpha"), "utf-8")
    wrong.write_text(exported("self.block1.alpha.expm1()"), "utf-8")
    with pytest.raises(ExportError, match=r"wrong\.py does not compute the network: its logits differ by"):
        verify_all([Case(right, topology), Case(wrong, topology)])


def test_a_class_token_that_is_used_wrongly_is_found(tmp_path: Path) -> None:
    """A class token begins at zeros, in a tensor of three dimensions."""
    torch.manual_seed(0)
    topology = Topology((3, 8, 8), Stem("patch", 4, {"patch": 4}), (), Head("class_token"), 3)
    path, right = tmp_path / "network.py", "self.class_token.expand"
    text = write_source(topology, "x", 0)
    assert right in text
    path.write_text(text.replace(right, "self.class_token.expm1().expand"), "utf-8")
    with pytest.raises(ExportError, match=r"its logits differ by"):
        verify(path, topology)


def test_no_parameter_is_proven_at_its_initial_value() -> None:
    """Neither the scalars nor the constants of any shape, nor a single weight of a convolution."""
    for name, topology in {**TINY, "vit": SMALL["vit"], "gpt": SMALL["gpt"]}.items():
        torch.manual_seed(5)
        initial = {key: value.detach().clone() for key, value in build(topology).named_parameters()}
        torch.manual_seed(5)
        network = build(topology)
        verification._perturb(network, topology)
        for key, parameter in network.named_parameters():
            assert (parameter != initial[key]).all(), f"{name}: {key}"


def test_a_join_is_written_as_its_row_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No kind of join has a spelling of its own in the exporter."""
    topology = Topology((5,), Stem("linear", 4), (Block("linear", 4, skips=Skip("mul")),), Head("classify"), 3)
    monkeypatch.setitem(JOINS, "mul", dataclasses.replace(JOINS["mul"], expression="torch.maximum({f}, {s}, out=None)"))
    text = write_source(topology, "x", 0)
    assert "return torch.maximum(self.block1(x), x, out=None)  # mul: (B, 4)" in text
    assert "self.block1(x) * x" not in text


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="the weights are not those"):
        export_code(SMALL["highway"], tmp_path, weights=build(SMALL["resnet20"]).state_dict())
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ExportError, match="cannot be written"):
        export_code(SMALL["highway"], tmp_path / "file" / "folder")


def test_a_reference_exports_to_a_folder(tmp_path: Path) -> None:
    folder = export_topology(SMALL["highway"], tmp_path / "highway")
    assert sorted(path.name for path in folder.iterdir()) == ["card.md", "network.py"]
    assert (folder / "network.py").read_text().startswith('"""highway: 80,560 parameters')
    assert "80,560" in (folder / "card.md").read_text()
