"""`make pictures` draws what the commands give into docs/pictures: terminals as SVG, pages as PNG.

It runs the commands of PICTURES in a folder of its own, in this order, inside a real terminal (tmux) and a real browser
(Chromium). That takes about a quarter of an hour on two cores. `make pictures ARGS="--folder FOLDER rank show"`
draws two of them anew from the runs that an earlier call left in that folder.
"""

from __future__ import annotations

import argparse
import io
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import DEFAULT_TERMINAL_THEME
from rich.text import Text

TARGET = Path(__file__).parent / "pictures"
WIDTH, HEIGHT = 110, 60  # of the terminal, in characters
TMUX = ("tmux", "-L", "pictures")  # a server of its own
FONT = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)  # rich's fonts would be loaded from another host


@dataclass(frozen=True)
class Picture:
    """A command and what is drawn of it.

    command  what is typed
    after    seconds after which a command that runs on is drawn and stopped by Ctrl-C; None: it is drawn when it ends
    page     the page that it writes, and is drawn instead of the terminal
    url      the page that it serves, and is drawn instead of the terminal
    size     of the page's window, in pixels
    before   what the command needs to run beside it, and how it ends: two lines of sh
    """

    command: str
    after: float | None = None
    page: str = ""
    url: str = ""
    size: tuple[int, int] = (1400, 1000)
    before: tuple[str, str] = ("", "")


JOBS = "http://localhost:8269"
CLUSTER = (
    "NAS_RUNS=$PWD/runs ray start --head --block --num-cpus=2 --port=6399 --dashboard-port=8269 "
    "--temp-dir=/tmp/pictures --ray-client-server-port=9099 --dashboard-agent-listen-port=8270 > ray.log 2>&1 & "
    f"cluster=$!; until nas status --address {JOBS} > status.log 2>&1; do sleep 1; done; clear",
    "kill $cluster; wait",
)
DASHBOARD = "http://localhost:8765/dashboard/studies/1"
PICTURES = {
    "pilot": Picture("nas pilot digits --topologies 8 --name pilot"),
    "live": Picture("nas search digits --seed 7 --name demo", after=75),
    "search": Picture("nas search --resume demo"),
    "submit": Picture(f"nas submit digits --trials 20 --address {JOBS}", after=200, before=CLUSTER),
    "list": Picture("nas list"),
    "status": Picture("nas status demo"),
    "rank": Picture("nas rank demo"),
    "show": Picture("nas show demo/12"),
    "export": Picture("nas export demo"),
    "dashboard": Picture("nas dashboard demo --port 8765", after=6, url=f"{DASHBOARD}/trials?numbers=12"),
    "report": Picture("nas report demo", page="runs/demo/report.html"),
    "confirm": Picture("nas confirm demo --top 3 --seeds 5"),
    "effects": Picture("nas effects demo"),
    "ablate": Picture("nas ablate resnet20 --task digits --seeds 3 --no-replace"),
    "diagnose": Picture("nas diagnose resnet56 --against plain56 --task digits", page="*/**/diagnosis.html"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(PICTURES)}; default: all")
    parser.add_argument("--folder", type=Path, help="where the runs are; default: a new one")
    asked = parser.parse_args()
    folder = asked.folder or Path(tempfile.mkdtemp(prefix="pictures-"))
    folder.mkdir(parents=True, exist_ok=True)
    TARGET.mkdir(exist_ok=True)
    for name in asked.names or PICTURES:
        picture = PICTURES[name]
        screen = typed(picture, folder, TARGET / f"{name}.png")
        if picture.page:
            photograph(next(folder.glob(picture.page)).resolve().as_uri(), TARGET / f"{name}.png", picture.size)
        elif not picture.url:
            (TARGET / f"{name}.svg").write_text(drawn(screen, picture.command), encoding="utf-8")
        print(f"{name}: {picture.command}")


def typed(picture: Picture, folder: Path, target: Path) -> str:
    """Type a command in a terminal, and return what stands there, with the codes of its colours.

    target  where the picture of what it serves is written
    """
    bin = Path(sys.executable).parent
    first, last = (f"{line};" if line else "" for line in picture.before)
    command = f"{first} {picture.command}; {last}"
    line = f"trap : INT; PATH={bin}:$PATH; {command} tmux -L pictures wait-for -S done; sleep 600"
    start = [*TMUX, "new-session", "-d", "-x", str(WIDTH), "-y", str(HEIGHT), "-c", str(folder)]
    subprocess.run([*start, "sh", "-c", line], check=True)
    if picture.after is not None:
        time.sleep(picture.after)
        screen = captured()
        if picture.url:
            photograph(picture.url, target, picture.size)
        subprocess.run([*TMUX, "send-keys", "C-c"], check=True)
    subprocess.run([*TMUX, "wait-for", "done"], check=True)
    if picture.after is None:
        screen = captured()
    subprocess.run([*TMUX, "kill-server"], check=True)
    time.sleep(1)  # until it is gone: the next command starts another
    return screen


def captured() -> str:
    """Return the lines of the terminal, those that have gone out at its top as well."""
    shot = [*TMUX, "capture-pane", "-e", "-p", "-S", "-"]
    return subprocess.run(shot, check=True, capture_output=True, text=True).stdout.rstrip()


def drawn(screen: str, command: str) -> str:
    """Return a terminal as SVG."""
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True)
    console.print(Text.from_ansi(screen), soft_wrap=True)
    return FONT.sub("", console.export_svg(title=command, theme=DEFAULT_TERMINAL_THEME))


def photograph(page: str, target: Path, size: tuple[int, int]) -> None:
    """Draw the upper part of a page with a headless Chromium."""
    flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--virtual-time-budget=5000"]
    window = f"--window-size={size[0]},{size[1]}"
    subprocess.run(["chromium", *flags, window, f"--screenshot={target}", page], check=True, capture_output=True)


if __name__ == "__main__":
    main()
