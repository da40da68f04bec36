"""Prove that an exported file computes what the network of its topology computes, in an interpreter without nas."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.errors import ExportError, message_of
from nas.export import proof
from nas.export.formats import FORMATS
from nas.export.weights import rename_tensors, safetensors_bytes
from nas.scratch import scratch_folder
from nas.topology import Topology
from nas.topology.vocabulary import STEMS

if TYPE_CHECKING:
    from torch import Tensor

    from nas.network import Network

BATCHES = (2, 3)
TOLERANCE = 1e-5  # float32 sums in another order differ by less
LONGEST = 16  # tokens of a sequence that is compared


@dataclass(frozen=True, slots=True)
class Case:
    """A file to prove.

    topology  the network that the file should compute
    weights   a state_dict of `build(topology)`; None for random weights
    formats   other formats, which are written beside the file with the same weights, and proven as well
    """

    path: Path
    topology: Topology
    weights: Mapping[str, Tensor] | None = None
    formats: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Proof:
    """The largest differences between a file and the network, relative to the largest value (or to 1, if larger).

    milliseconds  the time of a forward pass of one sample on the processor of this machine
    formats       the difference of the logits of every other format
    """

    logits: float
    gradients: float
    milliseconds: float
    formats: Mapping[str, float] = field(default_factory=dict)


def verify(path: Path | str, topology: Topology, weights: Mapping[str, Tensor] | None = None) -> Proof:
    """Return the proof of one file. Raises ExportError if it does not compute what `build(topology)` computes.

    A new interpreter that cannot import nas runs the file, loads the weights strictly, and compares the logits of
    two batches in eval mode and every gradient in train mode.
    """
    return verify_all([Case(Path(path), topology, weights)])[0]


def verify_all(cases: Sequence[Case]) -> list[Proof]:
    """Return the proofs of several files, from one new interpreter. Raises ExportError for the first that differs."""
    with scratch_folder() as folder:
        answers = _ask([_prepare(case, folder / str(number)) for number, case in enumerate(cases)])
    return [_proof(case, answer) for case, answer in zip(cases, answers, strict=True)]


def _proof(case: Case, answer: Mapping[str, float | str]) -> Proof:
    if "error" in answer:
        raise ExportError(f"{case.path.name} does not run by itself: {answer['error']}")
    far = {name: float(value) for name, value in answer.items()}
    found = Proof(far.pop("logits"), far.pop("gradients"), far.pop("milliseconds"), far)
    _check(case.path.name, "logits", found.logits, TOLERANCE)
    _check(case.path.name, "gradients", found.gradients, TOLERANCE)
    for name, difference in found.formats.items():
        _check(case.path.with_suffix(f".{name}").name, "logits", difference, FORMATS[name].tolerance)
    return found


def _check(file: str, what: str, difference: float, tolerance: float) -> None:
    if not difference <= tolerance:
        raise ExportError(f"{file} does not compute the network: its {what} differ by {difference:.2g}")


def _ask(cases: list[dict[str, Any]]) -> list[dict[str, float | str]]:
    """Run proof.py in a new interpreter and return its answer for every case. Raises ExportError if it fails."""
    import torch

    needs = {"torch", "safetensors"}.union(*(FORMATS[name].needs for case in cases for name in case["formats"]))
    places = {str(Path(spec.origin).parents[1]) for spec in map(find_spec, needs) if spec and spec.origin}
    job = json.dumps({"paths": sorted(places), "threads": torch.get_num_threads(), "cases": cases})
    done = subprocess.run(
        [sys.executable, "-I", "-S", proof.__file__], input=job, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise ExportError(
            f"the interpreter that runs the exported file failed: {(done.stderr.strip() or '?').splitlines()[-1][:300]}"
        )
    answers: list[dict[str, float | str]] = json.loads(done.stdout.splitlines()[-1])
    return answers


def _prepare(case: Case, folder: Path) -> dict[str, Any]:
    """Write the weights, and what the built network computes with them, to files; return the case for proof.py."""
    from nas.network import build
    from nas.network.onednn import onednn_is_safe, safe_onednn

    folder.mkdir()
    network = build(case.topology)
    if case.weights is None:
        _perturb(network, case.topology)
    else:
        _load(network, case)
    files = {"weights": folder / "weights.safetensors", "expected": folder / "expected.safetensors"}
    files["weights"].write_bytes(safetensors_bytes(rename_tensors(case.topology, network.state_dict())))
    with safe_onednn(network):
        files["expected"].write_bytes(safetensors_bytes(_expected(network, case.topology)))
    context = case.topology.input[0] if STEMS[case.topology.stem.op].reads_tokens else None
    paths = {"code": str(case.path), **{name: str(path) for name, path in files.items()}}
    return {**paths, "formats": case.formats, "context": context, "onednn": onednn_is_safe(network)}


def _load(network: Network, case: Case) -> None:
    try:
        network.load_state_dict(dict(case.weights or {}))
    except RuntimeError as error:  # missing, unexpected, or of another shape
        said = message_of(error, 200)
        raise ExportError(f"the weights are not those of {case.path.name}'s topology: {said}") from None


def _expected(network: Network, topology: Topology) -> dict[str, Tensor]:
    """Return the inputs, the logits in eval mode, and the first batch's gradients of mean(logits²) in train mode."""
    import torch

    inputs = [_batch(topology, size) for size in BATCHES]
    known = {f"input.{size}": x for size, x in zip(BATCHES, inputs, strict=True)}
    with torch.no_grad():
        network.eval()
        known |= {f"logits.{size}": network(x) for size, x in zip(BATCHES, inputs, strict=True)}
    network.train()
    network(inputs[0]).square().mean().backward()
    gradients = {name: p.grad for name, p in network.named_parameters() if p.grad is not None}
    return known | {f"gradient.{name}": grad for name, grad in rename_tensors(topology, gradients).items()}


def _batch(topology: Topology, size: int) -> Tensor:
    import torch

    from nas.network.samples import sample_inputs

    length = max(1, min(LONGEST, topology.input[0]) + BATCHES[0] - size)  # the batches differ in length
    return sample_inputs(topology, size, tokens=length, generator=torch.Generator().manual_seed(size))


def _perturb(network: Network, topology: Topology) -> None:
    """Move every parameter off its initial value, and every norm to the statistics of a batch.

    At an initial value such as 0 or 1, a file could use a parameter wrongly and still have the same logits and
    gradients.
    """
    import torch

    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(_noise(parameter))
        norms = [module for module in network.modules() if isinstance(module, torch.nn.BatchNorm2d)]
        for norm in norms:
            norm.momentum = 1.0
        network.train()(_batch(topology, BATCHES[1]))
        for norm in norms:
            norm.momentum = 0.1


def _noise(parameter: Tensor) -> Tensor:
    """Return noise of the parameter's shape, none of it near 0: its size is 0.05 to 0.15, of either sign.

    The noise of a random weight is that share of its standard deviation, so that deep networks stay in range. Scalars,
    vectors (scales and biases) and constants of any shape get the noise itself.
    """
    import torch

    noise = (0.05 + 0.1 * torch.rand_like(parameter)) * torch.randn_like(parameter).sign()
    is_random = parameter.dim() > 1 and parameter.min() < parameter.max()
    return noise * parameter.std() if is_random else noise
