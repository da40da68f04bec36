"""The formats beside network.py: what each needs, and how far it may be from the network. No torch."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from dataclasses import dataclass

from nas.errors import ExportError, expected


@dataclass(frozen=True, slots=True)
class Format:
    """tolerance: of the logits, as a share of the largest; needs: packages of the extra of its name."""

    tolerance: float
    needs: tuple[str, ...] = ()


FORMATS = {
    "onnx": Format(1e-4, ("onnx", "onnxscript", "onnxruntime")),  # another library computes it
    "pt2": Format(1e-5),  # torch.export's
}


def formats(words: Iterable[str]) -> tuple[str, ...]:
    """Those of the words that name a format beside "py", each once. Raises ExportError where one cannot be written."""
    found = tuple(dict.fromkeys(word for word in words if word != "py"))
    for word in found:
        if word not in FORMATS:
            raise ExportError(expected("format", word, ("py", *FORMATS)))
        missing = [name for name in FORMATS[word].needs if importlib.util.find_spec(name) is None]
        if missing:
            raise ExportError(f"format {word} needs {' and '.join(missing)}: pip install 'skipnas[{word}]'")
    return found
