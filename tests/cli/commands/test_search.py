"""`nas search`: what it leaves, how it ends when it is interrupted, and every mistake that one can make."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from nas.study import Run
from tests.helpers.command_line import TINY, Nas, check_mistake


def test_search_leaves_everything_that_it_says(folder: Path) -> None:
    run = folder / "runs" / "first"
    for name in ("run.yaml", "study.db", "report.html", "best/network.py", "best/weights.safetensors", "best/card.md"):
        assert (run / name).stat().st_size > 0, name
    board = (folder / "out.txt").read_text()
    for baseline in ("plain", "resnet", "mine"):
        assert baseline in board


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_an_interrupted_search_exits_with_the_signal(
    folder: Path, nas: Nas, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, code: int
) -> None:
    """What the search itself does then is tested in test_resume."""

    def interrupted(*_: object, **__: object) -> Run:
        run = Run.open("first")
        run.interrupted = number
        return run

    monkeypatch.chdir(folder)
    monkeypatch.setattr("nas.searching.driver.search", interrupted)
    done = nas("search", "tiny.yaml")
    assert done.code == code
    assert "winner" in done.err


def test_the_winner_runs_with_torch_alone(folder: Path, tmp_path: Path) -> None:
    network = folder / "runs" / "first" / "best" / "network.py"
    program = f"import sys, runpy; sys.modules['nas'] = None; runpy.run_path({str(network)!r}, run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "ms" in done.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("digitz", "did you mean 'digits'"),
        ("missing.yaml", "missing.yaml"),
        ("", "SPACE"),
        ("tiny.yaml --name first", "exists already"),
        ("tiny.yaml --log-json none/events", "the log of events cannot be written: none/events: No such file"),
        ("tiny.yaml --name ../x", "name must be"),
        ("tiny.yaml --sampler tpee", "did you mean 'tpe'"),
        ("tiny.yaml --time soon", "time"),
        ("tiny.yaml --gpus-per-trial two", "must be auto or a number from 0.001 to 1, but got 'two'"),
        ("tiny.yaml --gpu-memory 24GiB", "gpu_memory needs gpus_per_trial=auto"),
        ("--resume frist", "did you mean 'first'"),
        ("tiny.yaml --reuse frist", "did you mean 'first'"),
        ("tiny.yaml --task cifar10 --reuse first", "cannot be reused: its task is digits"),
        ("tiny.yaml --table none.json", "there is no file or folder"),
        ("--resume first --table t.json", "--table is for a new search"),
        ("tiny.yaml --baseline resnet21", "--baseline: depth of resnet must be 6n+2"),
        ("tiny.yaml --baseline none.py", "none.py cannot be read"),
        ("tiny.yaml --baseline mine.py --baseline ./mine.py", "there is a baseline 'mine'"),
        ("tiny.yaml --baseline unet.json", "unet.json cannot be read: No such file"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(folder: Path, nas: Nas, words: str, message: str) -> None:
    check_mistake(nas("search", *words.split()), message)


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
    check_mistake(done, message)
    assert "tiny.yaml" in done.err
