"""The tasks pydoc and text:PATH: predict the next byte of a text.

pydoc     Python's own documentation, which comes with every CPython (`pydoc_data.topics`), divided by topic. The text
          differs a little between versions of Python: compare metrics within one version only.
text      a text file, divided by position, or a folder of texts, divided by file

A sample is `context` bytes and, for each of them, the byte that follows it.
"""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np

from nas.errors import TaskError
from nas.tasks.data_files import check_fits, checked_file, checked_folder, files_below, is_folder
from nas.tasks.options import whole_number
from nas.tasks.recipe import Recipe
from nas.tasks.splits import Array, Split, Splits
from nas.tasks.splitting import assign_by_hash
from nas.tasks.task import Task

BYTES = 256
RECIPE = Recipe(
    epochs=2, batch_size=16, optimizer="adamw", lr=5e-3, weight_decay=0.1, label_smoothing=0.0, grad_clip=1.0
)
Texts = dict[str, list[bytes]]  # split → its texts


def pydoc() -> Task:
    """Return the task of Python's documentation, with a context of 64 bytes."""
    return _task("pydoc", 64, functools.partial(_load_pydoc, 64))


def text(path: Path, context: str = "128") -> Task:
    """Return the task of a text file, or of all files in a folder (.txt, .md, .rst, .py, …) that are not hidden.

    `context` is the length of a sample in bytes. Raises TaskError if it is not valid or if there is no such file.
    """
    length = whole_number(context, "context", "text", 2, 2**16)
    (checked_folder if is_folder(path) else checked_file)(path)
    return _task(f"text:{path}", length, functools.partial(_load_path, path, length))


TASKS = {"pydoc": pydoc, "text": text}


def _task(name: str, context: int, load: functools.partial[Splits]) -> Task:
    return Task(name, (context,), BYTES, load, metric="bits_per_byte", recipe=RECIPE)


def _load_pydoc(context: int) -> Splits:
    from pydoc_data.topics import topics

    names = sorted(topics)
    return _windows(_divided_by_name({name: topics[name].encode() for name in names}), context, "pydoc")


def _load_path(path: Path, context: int) -> Splits:
    if path.is_dir():
        files = sorted(file for file in files_below(path) if not _hidden(file.relative_to(path)))
        check_fits(sum(file.stat().st_size for file in files), path)
        return _windows(
            _divided_by_name({str(file.relative_to(path)): _bytes(file) for file in files}), context, str(path)
        )
    content = _bytes(path)
    eight, nine = (len(content) * tenths // 10 for tenths in (8, 9))
    texts = {"train": [content[:eight]], "validation": [content[eight:nine]], "test": [content[nine:]]}
    return _windows(texts, context, str(path))


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(path.stat().st_size)  # not to its end: a file of the system has none
    except OSError as error:
        raise TaskError(f"{path} cannot be read: {error.strerror or error}") from None


def _divided_by_name(texts: dict[str, bytes]) -> Texts:
    pairs = list(zip(texts.values(), assign_by_hash(list(texts)), strict=True))
    splits = ("train", "validation", "test")
    return {split: [content for content, own in pairs if own == split] for split in splits}


def _windows(split_texts: Texts, context: int, what: str) -> Splits:
    """Cut the texts into windows that do not overlap: a byte is predicted once, from those before it in its window.

    Raises TaskError if a split is not longer than a window.
    """
    splits = {}
    for name, texts in split_texts.items():
        inputs, targets = zip(*(_cut(content, context) for content in (b"", *texts)), strict=True)
        splits[name] = Split(np.concatenate(inputs), np.concatenate(targets))
        if not len(splits[name]):
            raise TaskError(f"{what}: the {name} split must hold more than {context} bytes, a context, but is shorter")
    return Splits(**splits)


def _cut(content: bytes, context: int) -> tuple[Array, Array]:
    """Return inputs and targets, both (n, context) bytes, targets one byte later, without the incomplete window."""
    codes = np.frombuffer(content, np.uint8)
    count = max(0, len(codes) - 1) // context
    return codes[: count * context].reshape(-1, context), codes[1 : count * context + 1].reshape(-1, context)
