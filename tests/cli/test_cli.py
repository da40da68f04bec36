"""The command line as a person uses it: output on stdout, messages on stderr, a mistake is one line and exit code 2."""

import io
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

from nas.cli import main
from nas.export.source import source
from nas.study import Run
from nas.topology import Topology
from nas.topology.block import Block, Head, Stem

TINY = """
task: digits
network:
  stem: {op: conv3x3, width: 4}
  stages:
    - {blocks: 3, op: conv, width: 4}
  head: classify
skips: {kinds: [none, add, concat, gate, long]}
train: {epochs: 1}
search: {trials: 5, objectives: [accuracy, params, memory], baselines: [plain, resnet]}
"""


@dataclass
class Done:
    code: int
    out: str
    err: str


Nas = Callable[..., Done]


@pytest.fixture
def nas(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Nas:
    """Runs `nas WORDS…` in this process."""

    def run(*words: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["nas", *words])
        monkeypatch.setenv("COLUMNS", "100")
        try:
            main()
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
        out, err = capsys.readouterr()
        return Done(code, out, err)

    return run


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one finished run, made by the real command in a process of its own."""
    folder = tmp_path_factory.mktemp("cli")
    (folder / "tiny.yaml").write_text(TINY)
    mine = Topology((1, 8, 8), Stem("conv3x3", 4), (Block("basic", 6),), Head("classify"), 10)
    (folder / "mine.py").write_text("raise SystemExit('it was run')\n" + source(mine, "mine", 0))
    words = ["search", "tiny.yaml", "--name", "first", "--baseline", "mine.py"]
    done = subprocess.run(
        [sys.executable, "-c", "from nas.cli import main; main()", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    (folder / "out.txt").write_text(done.stdout)
    return folder


@pytest.fixture(autouse=True)
def _inside(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "folder" in request.fixturenames:
        monkeypatch.chdir(request.getfixturevalue("folder"))


def test_search_leaves_everything_that_it_says(folder: Path) -> None:
    run = folder / "runs" / "first"
    for name in ("run.yaml", "study.db", "report.html", "best/network.py", "best/weights.safetensors", "best/card.md"):
        assert (run / name).stat().st_size > 0, name
    board = (folder / "out.txt").read_text()
    for baseline in ("plain", "resnet", "mine"):
        assert baseline in board


def test_an_interrupted_search_exits_with_130(folder: Path, nas: Nas, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the search itself does then is tested in test_resume."""

    def interrupted(*_: object, **__: object) -> Run:
        run = Run.open("first")
        run.interrupted = True
        return run

    monkeypatch.chdir(folder)
    monkeypatch.setattr("nas.searching.driver.search", interrupted)
    done = nas("search", "tiny.yaml")
    assert done.code == 130
    assert "winner" in done.err


def test_the_winner_runs_with_torch_alone(folder: Path, tmp_path: Path) -> None:
    network = folder / "runs" / "first" / "best" / "network.py"
    program = f"import sys, runpy; sys.modules['nas'] = None; runpy.run_path({str(network)!r}, run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "ms" in done.stdout


def test_rank_as_table_csv_and_json(folder: Path, nas: Nas) -> None:
    assert "accuracy" in nas("rank").out
    frame = pd.read_csv(io.StringIO(nas("rank", "--csv").out))
    rows = json.loads(nas("rank", "first", "--by", "params", "--json").out)
    assert len(frame) == len(rows) == 5
    assert frame["accuracy"].is_monotonic_decreasing
    assert [row["params"] for row in rows] == sorted(row["params"] for row in rows)


def test_list_and_status(folder: Path, nas: Nas) -> None:
    (row,) = json.loads(nas("list", "--json").out)
    assert (row["run"], row["finished"], row["failed"]) == ("first", 5, 0)
    assert "first" in nas("status").out


def test_show_what_there_is(folder: Path, nas: Nas, tmp_path: Path) -> None:
    assert "11.7M" in nas("show", "resnet18").out
    shown = json.loads(nas("show", "first/0", "--json").out)
    (tmp_path / "topology.json").write_text(
        json.dumps({key: shown[key] for key in ("input", "stem", "blocks", "head", "outputs")})
    )
    assert json.loads(nas("show", str(tmp_path / "topology.json"), "--json").out)["key"] == shown["key"]
    assert json.loads(nas("show", "runs/first/best/network.py", "--json").out)["version"] == 1
    assert nas("show", "unet", "-o", str(tmp_path / "unet.svg")).code == 0
    assert (tmp_path / "unet.svg").read_text().startswith("<svg")
    assert "topologies" in nas("show", "digits").out
    assert json.loads(nas("show", "digits", "--json").out)["size"] > 10**6


def test_report_and_export(folder: Path, nas: Nas, tmp_path: Path) -> None:
    assert Path(nas("report").out.strip()).is_file()
    assert nas("export", "resnet20", "-o", str(tmp_path / "resnet20")).code == 0
    assert (tmp_path / "resnet20" / "network.py").is_file()
    assert nas("export", "--trial", "1", "-o", str(tmp_path / "one")).code == 0
    assert (tmp_path / "one" / "network.py").is_file()


def test_export_by_key(folder: Path, nas: Nas, tmp_path: Path) -> None:
    key = json.loads(nas("show", "first/1", "--json").out)["key"]
    assert nas("export", "first", "--key", key[:8], "-o", str(tmp_path / "net.py"), "--format", "py").code == 0
    assert json.loads(nas("show", str(tmp_path / "net.py"), "--json").out)["key"] == key


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["search", "digitz"], "did you mean 'digits'"),
        (["search", "missing.yaml"], "missing.yaml"),
        (["search"], "SPACE or --resume"),
        (["search", "tiny.yaml", "--name", "first"], "exists already"),
        (["search", "tiny.yaml", "--name", "../x"], "name must be"),
        (["search", "tiny.yaml", "--sampler", "tpee"], "did you mean 'tpe'"),
        (["search", "tiny.yaml", "--time", "soon"], "time"),
        (["search", "tiny.yaml", "--gpus-per-trial", "two"], "must be auto or a number from 0.001 to 1, but got 'two'"),
        (["search", "tiny.yaml", "--gpu-memory", "24GiB"], "gpu_memory is for gpus_per_trial=auto"),
        (["search", "--resume", "frist"], "did you mean 'first'"),
        (["search", "tiny.yaml", "--reuse", "frist"], "did you mean 'first'"),
        (["search", "tiny.yaml", "--task", "cifar10", "--reuse", "first"], "cannot be reused: its task is digits"),
        (["search", "tiny.yaml", "--table", "none.json"], "none.json: the table cannot be read: No such file"),
        (["search", "--resume", "first", "--table", "t.json"], "--table is for a new search"),
        (["search", "tiny.yaml", "--baseline", "resnet21"], "--baseline: depth of resnet must be 6n+2"),
        (["search", "tiny.yaml", "--baseline", "none.py"], "none.py cannot be read"),
        (["search", "tiny.yaml", "--baseline", "mine.py", "--baseline", "./mine.py"], "there is a baseline 'mine'"),
        (["search", "tiny.yaml", "--baseline", "unet.json"], "unet.json cannot be read: No such file"),
        (["rank", "second"], "there is no run 'second'"),
        (["rank", "--by", "size"], "--by"),
        (["show", "resnet21"], "6n+2"),
        (["show", "first/99"], "has no trial 99"),
        (["show", "nothing"], "nothing"),
        (["export", "nothing"], "nothing"),
        (["export", "--trial", "99"], "has no trial 99"),
        (["export", "--key", "x"], "must begin with 'x', but got none"),
        (["export", "--key", ""], "must begin with ''"),
        (["export", "--key", "0", "--trial", "1"], "give one of them"),
        (["export", "first/1", "--trial", "1"], "give one of them"),
        (["export", "resnet20", "--trial", "1"], "resnet20 is a network"),
        (["export", "resnet20", "--format", "py,onxx", "-o", "out"], "did you mean 'onnx'"),
        (["export", "none.py"], "none.py cannot be read"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_one_line_and_exit_code_2(folder: Path, nas: Nas, words: list[str], message: str) -> None:
    done = nas(*words)
    assert done.code == 2
    assert message in done.err
    assert done.err.count("\n") == 1
    assert done.out == ""


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("task: digits", "task: digit", "did you mean 'digits'"),
        ("op: conv,", "op: convv,", "did you mean 'conv'"),
        ("width: 4}\n  stages", "wide: 4}\n  stages", "stem"),
        ("epochs: 1", "epochs: many", "train.epochs"),
        ("kinds: [none,", "kinds: [nine,", "skips.kinds"),
        ("blocks: 3", "blocks: -3", "network.stages"),
        ("op: conv,", "op: attention,", "reads sequence"),
        ("baselines: [plain, resnet]", "baselines: [resnet21]", "search.baselines"),
        ("task: digits", "task: digits\ntask: digits", "twice"),
        ("task: digits", "task: [", "tiny.yaml"),
    ],
)
def test_a_wrong_space_names_file_and_key(nas: Nas, tmp_path: Path, old: str, new: str, message: str) -> None:
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY.replace(old, new, 1))
    done = nas("search", str(path))
    assert done.code == 2
    assert "tiny.yaml" in done.err
    assert message in done.err
    assert done.err.count("\n") == 1
