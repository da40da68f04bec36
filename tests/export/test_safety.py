"""No name, path or setting becomes code: not in network.py, not in card.md, not when a file is read back."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest

from nas.errors import ExportError, TopologyError
from nas.export import ModelCard, export_code, export_topology, read_topology, write
from nas.export.card import escape_markdown, render_card
from nas.export.source import safe_title, write_source
from nas.export.verification import Proof
from nas.topology import Topology, references
from nas.topology.block import Block, Head, Stem

TOPOLOGY = references.highway(4, 8, input=(5,), outputs=3)
HOSTILE = [
    '"; import os; os.system("touch /tmp/owned"); "',
    '"""\nimport os\nos.abort()\n"""',
    "'''\nraise SystemExit\n'''",
    "a\nb\r\nc\u2028d\x0be",
    "{parameters} {0} {self.__class__} {{ 7 * 7 }} {% raw %}",
    "\\",
    "\\N{BULLET}\\x41\\",
    "\x00\x07\x1b[31m",
    "ｉｍｐｏｒｔ ｏｓ",
    "\u202eevil\u202c",
    "x" * 10_000,
    "# type: ignore",
    "",
    "   ",
    "<script>alert(1)</script>",
    "```\n</code>\n```python\nimport os",
    "| a | b |\n|---|---|",
    "[click](javascript:alert(1)) ![x](http://x/y.png) <javascript:alert(1)>",
]


def shape_of(text: str) -> str:
    """The program without its docstrings."""
    tree = ast.parse(text)
    assert ast.get_docstring(tree)
    tree.body[0] = ast.Pass()
    return ast.dump(tree)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_title_is_words(name: str) -> None:
    text = write_source(TOPOLOGY, name, 0)
    assert shape_of(text) == shape_of(write_source(TOPOLOGY, "benign", 0))
    assert text.isascii() or "x" * 51 not in text
    first = text.splitlines()[0]
    assert first.startswith('"""') and first.isprintable()
    assert len(safe_title(name)) <= 50


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_of_a_file_is_words(name: str) -> None:
    text = write_source(TOPOLOGY, "benign", 0, weights=f"{name}.safetensors")
    assert shape_of(text) == shape_of(write_source(TOPOLOGY, "benign", 0))


@pytest.mark.parametrize("value", HOSTILE)
def test_a_card_holds_words(value: str) -> None:
    """Whatever a fact says, the card has the same lines, and none of it is a tag, a link, a cell or a fence."""

    def card(word: str) -> str:
        return render_card(
            ModelCard(word, {word: word}, [word], [word], [[word, word]]), TOPOLOGY, trained=True, milliseconds=1.0
        )

    hostile, benign = card(value), card("benign")
    assert len(hostile.splitlines()) == len(benign.splitlines())
    assert hostile.count("```") == benign.count("```") == 2
    assert hostile.count("|") - hostile.count("\\|") == benign.count("|")
    assert "<" not in hostile
    assert hostile.count("[") == hostile.count("\\[") + benign.count("[")  # no link begins
    assert all(line.isprintable() for line in hostile.splitlines())


def test_words_are_one_line_that_markdown_leaves_alone() -> None:
    assert escape_markdown("a `b` <c> [d](e) | *f*\n# g") == r"a \`b\` &lt;c&gt; \[d\](e) \| \*f\* # g"
    assert len(escape_markdown("<" * 10_000)) <= 4 * 400


@pytest.mark.parametrize("word", HOSTILE)
def test_a_topology_takes_no_other_words(word: str) -> None:
    data = references.unet(4, 1).to_dict()
    places = [("stem", "op"), ("head", "op"), ("blocks", 0, "op"), ("blocks", 3, "up"), ("blocks", 3, "skip", "kind")]
    for *way, last in places:
        spoiled = json.loads(json.dumps(data))
        part = spoiled
        for key in way:
            part = part[key]
        part[last] = word
        with pytest.raises(TopologyError):
            Topology.from_dict(spoiled)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("TOPOLOGY = __import__('os').getcwd()", "TOPOLOGY cannot be read"),
        ("TOPOLOGY = open('owned', 'w').write('x')", "TOPOLOGY cannot be read"),
        ("TOPOLOGY = f'{1 + 1}'", "TOPOLOGY cannot be read"),
        ("TOPOLOGY = 7", "TOPOLOGY cannot be read"),
        ("TOPOLOGY = '{'", "TOPOLOGY cannot be read"),
        ("TOPOLOGY = '" + "[" * 100_000 + "'", "TOPOLOGY cannot be read"),
        ("TOPOLOGY = " + "(" * 10_000, "TOPOLOGY cannot be read"),
        ("TOPOLOGY = '{}'", "input must be a list"),
        ("import os", "has no TOPOLOGY"),
        ("", "has no TOPOLOGY"),
        ("this is no program", "TOPOLOGY cannot be read"),
        ("x = 1\x00", "cannot be read|not UTF-8 text"),
    ],
)
def test_a_file_that_is_no_exported_network(text: str, said: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "network.py"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(TopologyError, match=said) as caught:
        read_topology(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize("text", ["", "{", "7", "[" * 100_000, "NaN", "{}", "TOPOLOGY = '{}'", "1" * 10_000])
def test_a_file_that_is_no_topology(text: str, tmp_path: Path) -> None:
    path = tmp_path / "network.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(TopologyError) as caught:
        read_topology(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_reading_does_not_run_the_file(tmp_path: Path) -> None:
    path = tmp_path / "network.py"
    path.write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n" + write_source(TOPOLOGY, "benign", 0), encoding="utf-8")
    assert read_topology(path) == TOPOLOGY
    assert not (tmp_path / "ran").exists()


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(TopologyError, match="cannot be read: No such file"):
        read_topology(tmp_path / "missing.py")
    (tmp_path / "binary.py").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(TopologyError, match="not UTF-8 text"):
        read_topology(tmp_path / "binary.py")
    with (tmp_path / "large.py").open("wb") as file:
        file.truncate(2**30)
    with pytest.raises(TopologyError, match="too large"):
        read_topology(tmp_path / "large.py")


def test_reading_needs_no_torch(tmp_path: Path) -> None:
    import subprocess
    import sys

    path = tmp_path / "network.py"
    path.write_text(write_source(TOPOLOGY, "benign", 0), encoding="utf-8")
    program = (
        f"import sys; from nas.export import read_topology; read_topology({str(path)!r}); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_of_a_file(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is written with a benign program inside, or one clear line says why not."""
    monkeypatch.setattr(write, "verify_all", lambda cases: [Proof(0.0, 0.0, 1.0) for _ in cases])
    path = tmp_path / (name.replace("/", "_") + ".py")
    try:
        path = export_code(TOPOLOGY, path)
    except ExportError as error:
        assert "cannot be written" in str(error) and str(error).isprintable() and len(str(error)) < 500
        assert not list(tmp_path.iterdir())
    else:
        assert shape_of(path.read_text(encoding="utf-8")) == shape_of(write_source(TOPOLOGY, "benign", 80))
        assert read_topology(path) == TOPOLOGY


def test_a_hostile_title_all_the_way(tmp_path: Path) -> None:
    folder = export_topology(TOPOLOGY, tmp_path / "out", title=HOSTILE[1])
    assert read_topology(folder / "network.py") == TOPOLOGY
    assert "os.abort" in (folder / "card.md").read_text()  # as words


def test_a_network_without_blocks() -> None:
    text = write_source(Topology((5,), Stem("identity"), (), Head("classify"), 3), "nothing", 0)
    assert "return x" in text
    text = write_source(Topology((5,), Stem("identity"), (Block("identity"),), Head("classify"), 3), "nothing", 0)
    assert "return x" in text
