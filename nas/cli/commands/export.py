"""`nas export`: write a network as PyTorch code."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nas.cli.naming import topology_named, trial_named
from nas.cli.root import app, collect_garbage_seldom
from nas.errors import NasError


@app.command(rich_help_panel="Take away")
def export(
    what: Annotated[
        str | None,
        typer.Argument(
            metavar="WHAT", help="A run, RUN/TRIAL, a reference (resnet18) or a topology file. Default: the latest run."
        ),
    ] = None,
    trial: Annotated[int | None, typer.Option(min=0, help="Export this trial of the run instead of its best.")] = None,
    key: Annotated[str | None, typer.Option(help="Export the trial whose key is or begins with this.")] = None,
    format: Annotated[
        list[str] | None,
        typer.Option(metavar="py,onnx,pt2", help="Formats to write beside network.py: a list; may be repeated."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder, or network.py alone. Default: runs/NAME/best.")
    ] = None,
) -> None:
    """Write a network as PyTorch code that needs only torch: network.py, weights.safetensors and card.md.

    The files are first loaded in a fresh interpreter and compared with the network; files that differ are removed.
    network.onnx (pip install 'skipnas\\[onnx]') and network.pt2 (torch.export) read batches of any size.

    Examples: [bold]nas export[/bold], [bold]nas export resnet18 -o resnet18[/bold],
    [bold]nas export --key 3f9a --format onnx,pt2[/bold]
    """
    from nas.export import export_run, export_topology
    from nas.study import Run

    collect_garbage_seldom()
    formats = [word.strip() for words in format or () for word in words.split(",")]
    network = None if what is None else topology_named(what)
    if network is not None:
        if trial is not None or key is not None:
            raise NasError(f"--trial and --key choose a trial of a run, but {what} is a network")
        typer.echo(export_topology(network, out or Path(Path(str(what)).stem), formats=formats))
        return
    run, number = trial_named(what or "") or (Run.open(what), None)
    if [number, trial, key].count(None) < 2:
        raise NasError("RUN/TRIAL, --trial and --key all choose the trial: give one of them")
    number = run.number(key) if key is not None else trial if trial is not None else number
    typer.echo(export_run(run, number, out, formats=formats))
