"""card.md: what a network is, what is known of it and how far to trust it, and how to load it."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nas.export.source import skips_in_words
from nas.export.stem_and_head import batched, example, output_shape
from nas.topology import Topology

if TYPE_CHECKING:
    from nas.tasks.recipe import Recipe

ESCAPED = {ord(sign): f"\\{sign}" for sign in "\\`[]|*"} | {ord("<"): "&lt;", ord(">"): "&gt;"}
LONGEST = 400


@dataclass(frozen=True)
class Card:
    """What is known of a network besides its topology.

    facts       name → value, in the order of the table: task, metric, data, seed, …
    notes       sentences that a reader should have read before using it
    columns     of the table of neighbours, after their trial
    neighbours  (trial, value of each column): other networks of the search that nothing beats
    recipe      how it is trained, for the memory that this takes
    """

    title: str
    facts: Mapping[str, str] | None = None
    notes: Sequence[str] = ()
    columns: Sequence[str] = ()
    neighbours: Sequence[Sequence[str]] = ()
    recipe: Recipe | None = None


def written(
    card: Card, topology: Topology, *, trained: bool, milliseconds: float, formats: Collection[str] = ()
) -> str:
    """The card as Markdown, in which no name or setting is more than words."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        finalize=words,
        keep_trailing_newline=True,
        autoescape=False,  # it writes Markdown: `finalize` sees every value
    )
    return environment.get_template("card.md.j2").render(
        card=card,
        trained=trained,
        formats=formats,
        line=f"{skips_in_words(topology)}. {topology.describe()}",
        rows=[*(card.facts or {}).items(), *_costs(card, topology, milliseconds)],
        example=example(topology),
        output=(1, *output_shape(topology)),
    )


def words(value: object) -> str:
    """The value as plain words on one line: nothing of it is Markdown or HTML."""
    text = "".join(sign if sign.isprintable() else " " for sign in str(value))
    text = text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
    return " ".join(text.split()).translate(ESCAPED)


def _costs(card: Card, topology: Topology, milliseconds: float) -> Iterator[tuple[str, str]]:
    from nas.cost import measure
    from nas.tasks.recipe import Recipe

    recipe = card.recipe or Recipe()
    cost = measure(topology, recipe)
    yield "input → output", f"{batched(topology.input)} → {batched(output_shape(topology))}"
    yield "parameters", f"{cost.params:,}"
    yield "FLOPs", f"{cost.flops:,} multiply-adds a sample"
    yield (
        "memory",
        (
            f"{mebibytes(cost.memory)} to train, {mebibytes(cost.inference)} to infer, "
            f"at batch size {recipe.batch_size} in {recipe.precision}"
        ),
    )
    latency = f"{milliseconds:.2f}" if milliseconds < 10 else f"{milliseconds:,.0f}"
    yield "latency", f"{latency} ms a sample, on the processor of the machine that wrote this"
    yield "key", topology.key
    yield "versions", ", ".join(f"{name} {version}" for name, version in versions().items())


def versions() -> dict[str, str]:
    """Of the package that wrote the file and of torch."""
    return {name: importlib.metadata.version(name) for name in ("skipnas", "torch")}


def mebibytes(value: float) -> str:
    return f"{value / 2**30:.2f} GiB" if value >= 2**30 else f"{value / 2**20:.1f} MiB"
