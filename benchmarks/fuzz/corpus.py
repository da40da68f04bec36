"""Make what the mutants are made of: a small real run, data files of every family, topologies, a table of results."""

from __future__ import annotations

import functools
import gzip
import json
import os
import traceback
from pathlib import Path

import numpy as np

BLOCKS = 3
TRIALS = 14  # nas effects needs twelve
SPACE = f"""
task: digits
network:
  stem: {{op: conv3x3, width: 4}}
  stages: [{{blocks: {BLOCKS}, op: conv, width: 4}}]
  head: classify
skips: {{kinds: [none, add, concat, gate]}}
train: {{epochs: 1}}
search: {{trials: {TRIALS}, objectives: [accuracy, params], baselines: [plain], sampler: random, repeats: 1}}
"""


def build(folder: Path) -> None:
    """Write everything into the folder, in a process of its own: this one must not have started torch's threads."""
    process = os.fork()
    if process == 0:
        code = 1
        try:
            os.chdir(folder)
            for make in (_run, _network, _table, _arrays, _tables, _idx, _images, _text):
                make(folder)
            code = 0
        except Exception:  # noqa: BLE001  # the process ends here, whatever it is
            traceback.print_exc()
        finally:
            os._exit(code)
    if os.waitpid(process, 0)[1]:
        raise RuntimeError(f"the corpus cannot be made in {folder}")


def _run(folder: Path) -> None:
    """Search a small space without Ray: propose, train and record."""
    import optuna
    from safetensors.torch import save

    from nas.cost import predict
    from nas.searching.outcome import TrialOutcome
    from nas.searching.session import Session
    from nas.space import SearchSpace
    from nas.study import Run
    from nas.training.evaluate import Evaluator

    (folder / "space.yaml").write_text(SPACE)
    space = SearchSpace.load(folder / "space.yaml")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    run = Run.create(space, "run", folder / "runs")
    session = Session(run, functools.partial(predict, recipe=space.recipe), TRIALS)
    evaluator = Evaluator(space.task, space.recipe)
    while (candidate := session.ask()) is not None:
        result = evaluator.evaluate(candidate.topology, seed=candidate.seed)
        assert result.network is not None
        content = save({name: tensor.contiguous() for name, tensor in result.network.state_dict().items()})
        outcome = TrialOutcome(result.curve, full_budget=True, measured=result.measured | {"busy": 1.0})
        session.tell(candidate, outcome, lambda content=content: content)  # type: ignore[misc]
    session.close()
    run.storage.engine.dispose()


def _network(folder: Path) -> None:
    from nas.export import export_code
    from nas.study import Run

    topology = Run(folder / "runs" / "run").topology(1)
    (folder / "topology.json").write_text(json.dumps(topology.to_dict()))
    export_code(topology, folder / "network.py")


def _table(folder: Path) -> None:
    results = {name: {"accuracy": [0.9, 0.91], "seconds": 3} for name in ("resnet8", "plain8", "resnet20", "plain20")}
    (folder / "table.json").write_text(json.dumps(results))


def _arrays(folder: Path) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(40, 1, 6, 6)), np.arange(40) % 3
    np.savez(folder / "images.npz", x=x.astype(np.float32), y=y)
    np.savez_compressed(folder / "rows.npz", x=x.reshape(40, 36), y=rng.normal(size=40))


def _tables(folder: Path) -> None:
    import pandas as pd

    rows = range(60)
    frame = pd.DataFrame(
        {
            "age": [row * 1.5 for row in rows],
            "town": [("Ulm", "Bonn", None)[row % 3] for row in rows],
            "ill": [row % 2 == 0 for row in rows],
            "outcome": [("yes", "no")[row % 2] for row in rows],
        }
    )
    frame.to_csv(folder / "rows.csv", index=False)
    (folder / "packed.csv.gz").write_bytes(gzip.compress((folder / "rows.csv").read_bytes()))
    frame.to_parquet(folder / "rows.parquet")


def _idx(folder: Path) -> None:
    raw = folder / "data" / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    for part, samples in (("train", 200), ("t10k", 40)):
        labels = (np.arange(samples) % 10).astype(np.uint8).tobytes()
        pixels = np.random.default_rng(0).integers(0, 256, samples * 784, dtype=np.uint8).tobytes()
        sizes = samples.to_bytes(4, "big"), (28).to_bytes(4, "big") * 2
        packed = gzip.compress(b"\0\0\x08\x03" + b"".join(sizes) + pixels)
        (raw / f"{part}-images-idx3-ubyte.gz").write_bytes(packed)
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(b"\0\0\x08\x01" + sizes[0] + labels)


def _images(folder: Path) -> None:
    from PIL import Image

    rng = np.random.default_rng(0)
    endings = ("png", "jpg", "bmp", "gif", "webp", "tif")
    for place, (name, number) in enumerate((name, number) for name in ("cats", "dogs") for number in range(6)):
        pixels = Image.fromarray(rng.integers(0, 256, (9, 11, 3), dtype=np.uint8))
        (folder / "photos" / name).mkdir(parents=True, exist_ok=True)
        pixels.save(folder / "photos" / name / f"{number}.{endings[place % len(endings)]}")
        for part, image in (
            ("images", pixels),
            ("masks", Image.fromarray(rng.integers(0, 3, (9, 11), dtype=np.uint8))),
        ):
            (folder / "pairs" / part).mkdir(parents=True, exist_ok=True)
            image.save(folder / "pairs" / part / f"{name}{number}.png")


def _text(folder: Path) -> None:
    (folder / "text.txt").write_text("the quick brown fox jumps over the lazy dog. " * 60)
