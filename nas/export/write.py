"""Write the files of a topology: they are proven in a temporary folder, then moved to their places."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from nas.errors import ExportError
from nas.export.card import ModelCard, render_card
from nas.export.formats import check_formats
from nas.export.source import write_source
from nas.export.verification import Case, Proof, verify_all
from nas.export.weights import rename_tensors, safetensors_bytes
from nas.files import write_whole
from nas.scratch import scratch_folder
from nas.topology import Topology

if TYPE_CHECKING:
    from torch import Tensor

Weights = Mapping[str, "Tensor"]  # a state_dict of nas.build(topology)


def export_code(
    topology: Topology,
    path: Path | str,
    *,
    weights: Weights | None = None,
    title: str | None = None,
    formats: Iterable[str] = (),
    init: str = "he",
) -> Path:
    """Write the network of `topology` as one Python file that imports torch alone, and return the path of the file.

    path     the file (net.py), or the folder in which it will be network.py
    weights  a state_dict of `nas.build(topology)`: written beside the file as net.safetensors or weights.safetensors,
             under the names of the exported network
    title    the name of the network in the file; by default the name of the file
    formats  other formats, written beside the file under its name: "pt2" (torch.export) and "onnx" (needs the extra
             `onnx`); they contain the weights, or random ones, and accept batches of any size
    init     how an untrained network of the file starts: the recipe's `init`

    Before the files are written, a new interpreter that cannot import nas runs them, and the logits of two batches (in
    every format) and every gradient are compared with the built network. Raises ExportError, and writes nothing, if
    one differs or cannot be written.
    """
    return _export(topology, Path(path), weights, title, formats, init)[0]


def export_topology(
    topology: Topology,
    folder: Path | str,
    *,
    weights: Weights | None = None,
    title: str | None = None,
    formats: Iterable[str] = (),
    card: ModelCard | None = None,
) -> Path:
    """Write network.py, card.md, the weights (if given) and other formats to a folder, and return its path.

    A path that ends in .py is a file, written by `export_code` without a card. Raises ExportError, and writes nothing,
    if the file would not compute the network.

    card: the known facts about the network, with its recipe; the arguments are otherwise those of `export_code`.
    """
    folder = Path(folder)
    init = card.recipe.init if card is not None and card.recipe is not None else "he"
    if folder.suffix == ".py":
        return export_code(topology, folder, weights=weights, title=title, formats=formats, init=init)
    title = title or folder.absolute().name
    _, proof = _export(topology, folder, weights, title, formats, init)
    text = render_card(
        card or ModelCard(title),
        topology,
        trained=weights is not None,
        milliseconds=proof.milliseconds,
        formats=proof.formats,
    )
    _write(folder / "card.md", text)
    return folder


def _export(
    topology: Topology, path: Path, weights: Weights | None, title: str | None, formats: Iterable[str], init: str
) -> tuple[Path, Proof]:
    """Prove network.py and the other formats, and then write them and the weights; return the path and the proof."""
    from nas.network import build

    others = check_formats(formats)
    single = path.suffix == ".py"
    code = path if single else path / "network.py"
    beside = path.with_suffix(".safetensors") if single else path / "weights.safetensors"
    parameters = sum(p.numel() for p in build(topology, device="meta").parameters())
    text = write_source(topology, title or path.absolute().stem, parameters, beside.name, init)
    with scratch_folder() as folder:
        draft = folder / code.name
        _write(draft, text)
        proof = verify_all([Case(draft, topology, weights, others)])[0]
        for name in others:
            _write(code.with_suffix(f".{name}"), draft.with_suffix(f".{name}").read_bytes())
    if weights is not None:
        _write(beside, safetensors_bytes(rename_tensors(topology, weights)))
    return _write(code, text), proof


def _write(path: Path, content: str | bytes) -> Path:
    try:
        return write_whole(path, content)
    except (OSError, ValueError) as error:  # ValueError: the name is not allowed for a file
        place = str(path) if str(path).isprintable() and len(str(path)) <= 300 else repr(str(path))[:300]
        raise ExportError(f"{place} cannot be written: {getattr(error, 'strerror', None) or error}") from None
