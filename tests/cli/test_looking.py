"""Commands that look at a run: they import nothing that it names, need no right to write, and outlive damage."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from nas.errors import TaskError
from nas.study import Run
from tests.helpers.command_line import Nas, check_mistake
from tests.helpers.recorded_studies import LOOKS, execute, record

TASK = """
from pathlib import Path
import sys
Path({mark!r}).write_text("imported")
import numpy as np
import nas

def patterns():
    return nas.Task("patterns", input=(1, 16, 16), outputs=4, load=lambda: 1 / 0)
"""


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the run `base`; tests work on copies of it."""
    root = tmp_path_factory.mktemp("looking")
    record(root / "runs")
    return root


@pytest.fixture
def base(recorded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the run, in the folder runs of the current one."""
    shutil.copytree(recorded / "runs", tmp_path / "runs")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "runs" / "base"


EXPORT = ("export", "base", "--trial", "7", "-o", "exported")
# in a space of mounts of its own, which ends with it: the runs on a disk that cannot be written, then the commands
ON_A_FULL_DISK = """
mount -t tmpfs none runs && cp -r whole/. runs && mount -o remount,ro runs || exit 77
exec "$0" -c "$1"
"""
COMMANDS = """
import sys
from nas.cli import main
for words in {commands!r}:
    sys.argv = ["nas", *words]
    print("$", *words, file=sys.stderr)
    try:
        main()
    except SystemExit as end:
        assert not end.code, (words, end)
"""


def on_a_read_only_disk(base: Path, *commands: tuple[str, ...]) -> list[str]:
    """Run commands in a process for which the folder of the runs is a disk that cannot be written; return stderr."""
    shutil.copytree(base.parent, base.parent.with_name("whole"))
    script = [ON_A_FULL_DISK, sys.executable, COMMANDS.format(commands=commands)]
    done = subprocess.run(["unshare", "-rm", "sh", "-c", *script], capture_output=True, text=True)
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip("nothing can be mounted here")
    assert done.returncode == 0, done.stderr
    return done.stderr.splitlines()


def test_looking_imports_nothing_that_a_run_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nas: Nas) -> None:
    monkeypatch.chdir(tmp_path)
    mark = tmp_path / "mark"
    (tmp_path / "mine.py").write_text(TASK.format(mark=str(mark)))
    record(tmp_path / "runs", task="mine.py:patterns", trials=40)
    assert mark.read_text() == "imported"  # to begin a search is to trust the task
    mark.unlink()
    (tmp_path / "mine.py").write_text((tmp_path / "mine.py").read_text() + "# changed: imported again\n")
    for words in LOOKS:
        done = nas(*words)
        assert done.code == 0, done.err
        assert not mark.exists(), words
    with pytest.raises(TaskError, match="ZeroDivisionError"):  # who trains loads the data, and only that imports it
        Run.open("base").space.task.load()
    assert mark.exists()


@pytest.mark.slow
def test_an_export_imports_nothing_that_a_run_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nas: Nas) -> None:
    monkeypatch.chdir(tmp_path)
    mark = tmp_path / "mark"
    (tmp_path / "mine.py").write_text(TASK.format(mark=str(mark)))
    record(tmp_path / "runs", task="mine.py:patterns", trials=20)
    mark.unlink()
    (tmp_path / "mine.py").write_text((tmp_path / "mine.py").read_text() + "# changed: imported again\n")
    assert nas("export", "base", "-o", "exported").code == 0
    assert (tmp_path / "exported" / "network.py").is_file() and not mark.exists()


def test_a_task_whose_facts_are_not_on_record_is_not_imported(base: Path, nas: Nas) -> None:
    text = (base / "run.yaml").read_text()
    before, _, after = text.partition("task:\n  input")
    (base / "run.yaml").write_text(before + "space:\n" + after.partition("space:\n")[2])
    assert nas("rank", "base", "--json").code == 0  # a task of ours needs no record
    text = (base / "run.yaml").read_text()
    (base / "run.yaml").write_text(text.replace("task: cluttered_digits", "task: mine.py:patterns"))
    check_mistake(nas("rank", "base"), "are not on record")


def test_a_run_on_a_disk_that_cannot_be_written(base: Path, tmp_path: Path) -> None:
    looks = LOOKS[:4]  # the others read in the same way, and import for longer
    assert on_a_read_only_disk(base, *looks) == [f"$ {' '.join(words)}" for words in looks]
    assert (tmp_path / "report.html").is_file()


@pytest.mark.slow
def test_a_run_on_a_disk_that_cannot_be_written_is_exported(base: Path, tmp_path: Path) -> None:
    assert on_a_read_only_disk(base, EXPORT) == [f"$ {' '.join(EXPORT)}"]
    assert (tmp_path / "exported" / "network.py").is_file()


def test_a_report_that_cannot_be_written_is_one_line(base: Path, nas: Nas) -> None:
    (base / "report.html").mkdir()
    check_mistake(nas("report", "base"), "-o writes it elsewhere")


def test_a_damaged_trial_is_one_warning(base: Path, nas: Nas) -> None:
    execute(base, "UPDATE trials SET state = 'EXPLODED' WHERE number = 3")
    for words in (("rank", "base", "--json"), ("report", "base"), ("status", "base")):
        done = nas(*words)
        assert done.code == 0 and done.out
        assert done.err == "nas: run 'base': trial 3 is damaged and left out (its state 'EXPLODED' is unknown)\n", words
    [row] = json.loads(nas("list", "--json").out)
    assert row["finished"] > 20 and "trial 3 is damaged" in row["trouble"]
    shown = nas("list")
    assert shown.err == "" and "trial 3 is damaged" in " ".join(shown.out.split()) and "?" not in shown.out


def test_a_list_shows_the_others(base: Path, nas: Nas) -> None:
    for name, content in (("empty", b""), ("text", b"nothing of ours " * 200)):
        (shutil.copytree(base, base.with_name(name)) / "study.db").write_bytes(content)
    (shutil.copytree(base, base.with_name("yaml")) / "run.yaml").write_text("space: 3")
    rows = {row["run"]: row for row in json.loads(nas("list", "--json").out)}
    assert rows["base"]["trouble"] == "" and rows["base"]["finished"] > 20
    assert "no such table" in rows["empty"]["trouble"]
    assert "runs/text/study.db cannot be read" in rows["text"]["trouble"]
    assert "run.yaml" in rows["yaml"]["trouble"]
    shown = nas("list")
    assert shown.code == 0 and "base" in shown.out
    assert "runs/text/study.db cannot be read" in " ".join(shown.out.split())


def test_whatever_is_wrong_with_one_run_the_others_are_listed(
    base: Path, nas: Nas, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(run: Run) -> None:
        raise ZeroDivisionError("a fault of ours")

    monkeypatch.setattr(Run, "frame", fail)
    done = nas("list", "--json")
    assert json.loads(done.out)[0]["trouble"] == "it is damaged: ZeroDivisionError: a fault of ours"


def test_other_warnings_are_shown_as_ever(base: Path, nas: Nas, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nas.analysis.overview.runs_table", lambda frame: warnings.warn("another", stacklevel=1))
    with pytest.warns(UserWarning, match="another"):
        nas("list")
