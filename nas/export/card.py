"""Write card.md: the description of an exported network, its measured results and their limits, and how to load it."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nas.export.source import summarize_skips
from nas.export.stem_and_head import example_input, output_shape, shape_text
from nas.topology import Topology
from nas.units import mebibytes, short

if TYPE_CHECKING:
    from nas.tasks.recipe import Recipe

ESCAPED = {ord(sign): f"\\{sign}" for sign in "\\`[]|*"} | {ord("<"): "&lt;", ord(">"): "&gt;"}
LONGEST = 400


@dataclass(frozen=True)
class ModelCard:
    """The facts about a network that are not in its topology.

    facts       name → value, in the order of the table: task, metric, data, seed, …
    notes       sentences that a user of the network should read first
    columns     the titles of the table of neighbours, after the column of the trial
    neighbours  its rows, (trial, value of each column): other networks of the search on the Pareto front
    recipe      the training recipe, from which the training memory is computed
    """

    title: str
    facts: Mapping[str, str] | None = None
    notes: Sequence[str] = ()
    columns: Sequence[str] = ()
    neighbours: Sequence[Sequence[str]] = ()
    recipe: Recipe | None = None


def render_card(
    card: ModelCard, topology: Topology, *, trained: bool, milliseconds: float, formats: Collection[str] = ()
) -> str:
    """Return the card as Markdown, in which every value is escaped.

    trained: weights are exported too; milliseconds: a forward pass of one sample; formats: other exported formats.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        finalize=escape_markdown,
        keep_trailing_newline=True,
        autoescape=False,  # the text is Markdown: `finalize` escapes every value
    )
    return environment.get_template("card.md.j2").render(
        card=card,
        trained=trained,
        formats=formats,
        line=f"{summarize_skips(topology)}. {topology.describe()}",
        rows=[*(card.facts or {}).items(), *_costs(card, topology, milliseconds)],
        example=example_input(topology),
        output=(1, *output_shape(topology)),
    )


def escape_markdown(value: object) -> str:
    """Return the value as one line of plain text, in which Markdown and HTML are escaped."""
    return " ".join(short(value, LONGEST).split()).translate(ESCAPED)


def _costs(card: ModelCard, topology: Topology, milliseconds: float) -> Iterator[tuple[str, str]]:
    from nas.cost import measure
    from nas.tasks.recipe import Recipe

    recipe = card.recipe or Recipe()
    cost = measure(topology, recipe)
    yield "input → output", f"{shape_text(topology.input)} → {shape_text(output_shape(topology))}"
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
    yield "latency", f"{latency} ms a sample, on the processor of the machine that wrote this card"
    yield "key", topology.key
    yield "versions", ", ".join(f"{name} {version}" for name, version in versions().items())


def versions() -> dict[str, str]:
    """Return the versions of this package and of torch."""
    return {name: importlib.metadata.version(name) for name in ("skipnas", "torch")}
