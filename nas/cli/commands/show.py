"""`nas show`: a space or a network, as a table and a diagram."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nas.cli.naming import topology_named, trial_named
from nas.cli.printing import console, print_json, say
from nas.cli.root import AsJson, app

if TYPE_CHECKING:
    from nas.topology import Topology


@app.command(rich_help_panel="Analyse")
def show(
    what: Annotated[
        str, typer.Argument(metavar="WHAT", help="A space, a reference, RUN/TRIAL, or a topology file (.json, .py).")
    ],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write the arc diagram to this file, as SVG.")] = None,
    json: AsJson = False,
) -> None:
    """Show a space, or a network: what every block computes and costs, and its skips as arcs.

    Examples: [bold]nas show digits[/bold], [bold]nas show unet -o unet.svg[/bold], [bold]nas show RUN/12[/bold]
    """
    topology = topology_named(what)
    if topology is None and (named := trial_named(what)):
        topology = named[0].topology(named[1])
    if topology is None:
        _show_space(what, json)
    else:
        _show_topology(what, topology, out, json)


def _show_topology(name: str, topology: Topology, out: Path | None, json: bool) -> None:
    from nas.analysis import arc_svg, arc_text, topology_table
    from nas.cost import itemise, measure

    if json:
        cost = measure(topology)
        print_json(topology.to_dict() | {"key": topology.key, "params": cost.params, "flops": cost.flops})
    if out is not None:
        from nas.files import write_whole

        write_whole(out, arc_svg(topology, name))
        say(f"wrote {out}")
    elif not json:
        screen = console()
        screen.print(topology_table(topology, itemise(topology), width=screen.width))
        screen.print(arc_text(topology, screen.width))


def _show_space(what: str, json: bool) -> None:
    from nas.analysis import space_table
    from nas.space import SearchSpace

    space = SearchSpace.load(what)
    if json:
        print_json(space.to_dict() | {"size": space.size()})
    else:
        screen = console()
        screen.print(space_table(space, width=screen.width))
