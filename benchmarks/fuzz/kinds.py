"""The kinds of mutants: what is damaged, how, and what reads it. KINDS is the visible table."""

from __future__ import annotations

import functools
import os
import random
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.fuzz import mutations
from benchmarks.fuzz.arena import Reached, nas_command

Act = Callable[[], object]
Damage = Callable[[random.Random, bytes], bytes]
OF_A_RUN: tuple[tuple[str, ...], ...] = (
    *(("list",), ("rank", "run"), ("status", "run"), ("effects", "run"), ("report", "run"), ("show", "run/1")),
    *(("rank", "--csv"), ("status", "--json"), ("list", "--json"), ("export", "run/1", "-o", "out"), ("RESUME",)),
)
DATA = {  # a file of the corpus → the task that reads it
    "images.npz": "npz:images.npz",
    "rows.npz": "npz:rows.npz",
    "rows.csv": "csv:rows.csv?target=outcome",
    "packed.csv.gz": "csv:packed.csv.gz?target=age",
    "rows.parquet": "parquet:rows.parquet?target=outcome",
    "text.txt": "text:text.txt?context=8",
    "data": "fashion_mnist?train=100&validation=20",
    "photos": "imagefolder:photos?size=8",
    "pairs": "masks:pairs?size=8",
}
RIGHT = (  # words that some argument takes
    *(
        "run",
        "run/1",
        "/2",
        "space.yaml",
        "topology.json",
        "network.py",
        "resnet20",
        "digits",
        "plain",
        "random",
        "auto",
    ),
    *("2", "0.5", "1h", "accuracy", "params", "epochs=2", "csv:rows.csv?target=outcome", "table.json"),
)
# options that name a file to write: what a person names there is written there
OUTPUTS = ("--out", "-o", "--output", "--log-json", "--storage", "--open")


@dataclass(frozen=True)
class Kind:
    """A kind of mutants: `make` damages something in a folder and returns what reads it; `share` of all mutants."""

    make: Callable[[random.Random, Path, Path], Act]
    share: float


def stop_before_anything_starts() -> None:
    """Replace what trains, serves and starts programs: what comes so far was accepted."""
    import ray

    import nas.diagnosis
    import nas.export.write
    import nas.watching

    def reached(*arguments: object, **more: object) -> Any:
        raise Reached

    os.environ["NAS_DATA"] = "data"
    for module, name in (
        (ray, "init"),
        (nas.diagnosis, "diagnose"),
        (nas.watching, "serve"),
        (nas.export.write, "verify_all"),
    ):
        setattr(module, name, reached)


def intact(corpus: Path, folder: Path) -> Iterator[tuple[str, Act]]:
    """Copy the corpus as it is and yield everything that reads it, which must succeed."""
    shutil.copytree(corpus, folder, dirs_exist_ok=True)
    for words in OF_A_RUN[:-1]:
        yield " ".join(words), functools.partial(nas_command, *words)
    yield "resume", functools.partial(as_command, _resume)
    for name in ("space.yaml", "topology.json", "network.py"):
        yield f"show {name}", functools.partial(nas_command, "show", name)
    yield "table", functools.partial(as_command, _read_table, Path("space.yaml"))
    for task in DATA.values():
        yield task, functools.partial(as_command, _read_data, task)


def _one_file(name: str, damage: Damage, *commands: tuple[str, ...]) -> Kind:
    """Return the kind that damages one file of the corpus, which a command reads."""

    def make(rng: random.Random, corpus: Path, folder: Path) -> Act:
        (folder / name).write_bytes(damage(rng, (corpus / name).read_bytes()))
        return functools.partial(nas_command, *rng.choice(commands))

    return Kind(make, 1)


def _space(rng: random.Random, corpus: Path, folder: Path) -> Act:
    """Damage a shipped space, or that of the corpus."""
    shipped = sorted((Path(__file__).parents[2] / "search_spaces").glob("*.yaml"))
    content = rng.choice([corpus / "space.yaml", *shipped]).read_bytes()
    (folder / "space.yaml").write_bytes(mutations.yaml_damaged(rng, content))
    return functools.partial(nas_command, "show", "space.yaml", *rng.choice(((), ("--json",))))


def _reads_run(rng: random.Random, corpus: Path, folder: Path, damage: Callable[[Path], None]) -> Act:
    """Copy the run of the corpus, damage it, and return a command that reads it, or its resumption."""
    shutil.copytree(corpus / "runs", folder / "runs")
    damage(folder / "runs" / "run")
    words = rng.choice(OF_A_RUN)
    return functools.partial(as_command, _resume) if words == ("RESUME",) else functools.partial(nas_command, *words)


def _resume() -> None:
    """Propose the next candidate of a damaged run, as a search that goes on does."""
    from nas.cost import predict
    from nas.searching.session import Session
    from nas.study import Run
    from nas.study.quiet import quiet_libraries

    with quiet_libraries():
        run = Run.open("run")
        Session(run, functools.partial(predict, recipe=run.space.recipe), 100).ask()


def _run_yaml(rng: random.Random, corpus: Path, folder: Path) -> Act:
    def damage(run: Path) -> None:
        (run / "run.yaml").write_bytes(mutations.yaml_damaged(rng, (run / "run.yaml").read_bytes()))

    return _reads_run(rng, corpus, folder, damage)


def _study(rng: random.Random, corpus: Path, folder: Path) -> Act:
    return _reads_run(rng, corpus, folder, lambda run: mutations.database_damaged(rng, run / "study.db"))


def _run_folder(rng: random.Random, corpus: Path, folder: Path) -> Act:
    """Replace a file of the run by something else: nothing, a folder, a pipe, a device, a loop, another file."""

    def damage(run: Path) -> None:
        inside = sorted(path for path in run.rglob("*") if path.name != "run.yaml" or rng.random() < 0.3)
        for path in rng.sample(inside, k=min(len(inside), rng.choice((1, 1, 2, 4)))):
            others = [other.read_bytes() for other in run.rglob("*") if other.is_file()]
            if path.parent.is_dir():  # it may have been replaced itself
                shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
                _put_something(rng, path, others)
        for name in ("confirm.json", "ablate.json", ".lock", "best", "artifacts", "progress", "report.html"):
            if rng.random() < 0.1 and not (run / name).exists():
                _put_something(rng, run / name, [b"{}", b"[]", b"\xff", b'{"a": 1}'])

    return _reads_run(rng, corpus, folder, damage)


def _put_something(rng: random.Random, path: Path, contents: list[bytes]) -> None:
    match rng.randrange(7):
        case 0:
            path.mkdir()
        case 1:
            os.mkfifo(path)
        case 2:
            path.symlink_to(path)
        case 3:
            path.symlink_to("/dev/zero")
        case 4:
            path.write_bytes(mutations.bytes_damaged(rng, rng.choice(contents or [b""])))
        case 5:
            path.write_bytes(rng.choice(contents or [b""]))
        case _:
            pass


def _weights(rng: random.Random, corpus: Path, folder: Path) -> Act:
    shutil.copytree(corpus / "runs", folder / "runs")
    path = rng.choice(sorted((folder / "runs" / "run" / "weights").iterdir()))
    path.write_bytes(mutations.bytes_damaged(rng, path.read_bytes()))
    return functools.partial(nas_command, "export", f"run/{path.stem}", "-o", "out")


def _table(rng: random.Random, corpus: Path, folder: Path) -> Act:
    (folder / "table.json").write_bytes(mutations.json_damaged(rng, (corpus / "table.json").read_bytes()))
    return functools.partial(as_command, _read_table, corpus / "space.yaml")


def _read_table(space_file: Path) -> None:
    from nas import results
    from nas.space import SearchSpace

    space = SearchSpace.load(space_file, table="table.json")
    results.evaluator(space.task, space.recipe)


def _data(rng: random.Random, corpus: Path, folder: Path) -> Act:
    """Damage a data file, or one of a folder of them."""
    name = rng.choice(list(DATA))
    if (corpus / name).is_dir():
        shutil.copytree(corpus / name, folder / name)
        path = rng.choice(sorted(path for path in (folder / name).rglob("*") if path.is_file()))
    else:
        path = folder / name
        shutil.copyfile(corpus / name, path)
    if rng.random() < 0.1:
        path.unlink()
        _put_something(rng, path, [])
    else:
        damage = (
            mutations.words_damaged
            if path.suffix in (".csv", ".txt") and rng.random() < 0.5
            else mutations.bytes_damaged
        )
        path.write_bytes(damage(rng, path.read_bytes()))
    return functools.partial(as_command, _read_data, DATA[name])


def _read_data(name: str) -> None:
    """Make a task, and read every sample of its data."""
    from nas import tasks
    from nas.tasks.splits import Stream

    for split in vars(tasks.get(name).load()).values():
        if isinstance(split, Stream):
            for row in range(len(split)):
                split.read(row)


def as_command(act: Callable[..., None], *arguments: object) -> None:
    """Call a function as `nas.cli.main` calls a command: a mistake of the user is one line and exit code 2."""
    from nas.errors import NasError

    try:
        act(*arguments)
    except NasError as error:
        print(f"nas: {error}", file=sys.stderr)
        sys.exit(2)


def _arguments(rng: random.Random, corpus: Path, folder: Path) -> Act:
    """Call a command with options and words that are nasty, or right, or those of another option."""
    import typer

    from nas.cli import app

    shutil.copytree(corpus / "runs", folder / "runs")
    for name in ("space.yaml", "topology.json", "network.py", "table.json", "rows.csv"):
        shutil.copyfile(corpus / name, folder / name)
    name, command = rng.choice(sorted(typer.main.get_command(app).commands.items()))  # type: ignore[attr-defined]
    words = [name]
    for parameter in command.params:
        if parameter.param_type_name == "argument":
            words += [_word(rng)] if rng.random() < 0.8 else []
        elif rng.random() < 2.0 / len(command.params) and not set(parameter.opts) & set(OUTPUTS):
            words += [rng.choice(parameter.opts)] + ([] if parameter.is_flag else [_word(rng)])
    return functools.partial(nas_command, *words)


def _word(rng: random.Random) -> str:
    return rng.choice(RIGHT) if rng.random() < 0.6 else rng.choice(mutations.WORDS).replace("\0", "") or "-"


KINDS = {
    "space files": Kind(_space, 3),
    "run.yaml": Kind(_run_yaml, 2),
    "study.db": Kind(_study, 2),
    "run folders": Kind(_run_folder, 1.5),
    "topologies": _one_file("topology.json", mutations.json_damaged, ("show", "topology.json")),
    "exported code": _one_file(
        "network.py", mutations.bytes_damaged, ("show", "network.py"), ("show", "network.py", "--json")
    ),
    "exported weights": Kind(_weights, 1),
    "tables of results": Kind(_table, 1.5),
    "data files": Kind(_data, 4),
    "arguments": Kind(_arguments, 3),
}
