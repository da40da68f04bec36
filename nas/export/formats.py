"""The file formats that can be written beside network.py, with the packages that each needs. No torch."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from dataclasses import dataclass

from nas.errors import ExportError, expected


@dataclass(frozen=True, slots=True)
class Format:
    """A file format of a network.

    tolerance  the largest allowed difference of the logits, relative to the largest logit (or to 1, if that is larger)
    needs      the packages that writing it needs: those of the extra of the same name
    """

    tolerance: float
    needs: tuple[str, ...] = ()


FORMATS = {
    "onnx": Format(1e-4, ("onnx", "onnxscript", "onnxruntime")),  # the sums of another library
    "pt2": Format(1e-5),  # the operations of torch itself
}


def check_formats(names: Iterable[str]) -> tuple[str, ...]:
    """Return the formats other than "py", each once. Raises ExportError if one is unknown or lacks a package."""
    found = tuple(dict.fromkeys(name for name in names if name != "py"))
    for word in found:
        if word not in FORMATS:
            raise ExportError(expected("format", word, ("py", *FORMATS)))
        missing = [name for name in FORMATS[word].needs if importlib.util.find_spec(name) is None]
        if missing:
            raise ExportError(f"format {word} needs {' and '.join(missing)}: pip install 'skipnas[{word}]'")
    return found
