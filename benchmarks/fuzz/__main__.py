"""Fuzz nas: thousands of damaged files and arguments; none may end in a traceback, hang, or write elsewhere.

Claim      whatever a file or an argument holds, nas reads it or refuses it with one line and exit code 2
Conditions each mutant in a process and a folder of its own, with 5 s of processor time; a seed gives the same mutants
Method     bytes flipped, cut and moved; words replaced by nasty ones; YAML, JSON and SQL changed in what they mean

    make fuzz ARGS="--mutants 3000 --seed 1"
    make fuzz ARGS="--kinds 'data files' --only 17"      one mutant again; its folder is kept
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

from benchmarks.fuzz import arena, corpus
from benchmarks.fuzz.kinds import KINDS, intact, stop_before_anything_starts

BAD = ("traceback", "hang", "elsewhere")
COLUMNS = ("refused", "accepted", *BAD)


def main(words: Sequence[str] | None = None) -> int:
    """Run the mutants, print a table, and return 1 if one of them ended badly."""
    asked = _arguments(words)
    counts: Counter[tuple[str, str]] = Counter()
    folder = Path(tempfile.mkdtemp(prefix="nas-fuzz-")).resolve()
    try:
        (folder / "corpus").mkdir()
        corpus.build(folder / "corpus")
        stop_before_anything_starts()
        if not _corpus_is_read(folder):
            return 1
        for ended in arena.run_all(_mutants(folder, asked), asked.jobs):
            counts[ended.mutant.kind, ended.verdict] += 1
            _tell(ended, asked)
            if asked.only is None:
                arena.remove(ended.mutant.folder)
        left = {path.name for path in folder.iterdir()} - {"corpus"}
        if asked.only is None and left:
            print(f"left behind: {', '.join(sorted(left))}")
            counts["all", "elsewhere"] += len(left)
    finally:
        if asked.only is None:
            arena.remove(folder)
        else:
            print(f"kept: {folder}")
    _print_table(counts)
    return int(any(verdict in BAD for _, verdict in counts))


def _corpus_is_read(folder: Path) -> bool:
    """Return whether everything is accepted without damage. It imports what the mutants need, which takes its time."""
    own = folder / "intact"
    for name, act in intact(folder / "corpus", own):
        [ended] = arena.run_all(iter([arena.Mutant("intact", name, own, act)]), jobs=1, cpu_s=60)
        (own / "ended.json").unlink(missing_ok=True)
        if ended.verdict != "accepted":
            print(f"what is not damaged must be accepted, but {name} is not: {ended.said}")
            return False
    arena.remove(own)
    return True


def _arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fuzz", description="fuzz nas")
    parser.add_argument("--mutants", type=int, default=3000, help="how many in all")
    parser.add_argument("--seed", type=int, default=0, help="other mutants for another seed")
    parser.add_argument(
        "--kinds", nargs="*", default=list(KINDS), choices=list(KINDS), metavar="KIND", help="these alone"
    )
    parser.add_argument("--jobs", type=int, default=2, help="how many at a time")
    parser.add_argument("--only", type=int, help="the number of one mutant to make again, and to keep")
    parser.add_argument("--verbose", action="store_true", help="print what every mutant says")
    return parser.parse_args(words)


def _mutants(folder: Path, asked: argparse.Namespace) -> Iterator[arena.Mutant]:
    """Yield the mutants of all kinds; each is made from its own seed, so that one can be made again."""
    shares = sum(KINDS[kind].share for kind in asked.kinds)
    for kind in asked.kinds:
        for number in range(max(1, round(asked.mutants * KINDS[kind].share / shares))):
            if asked.only in (None, number):
                rng = random.Random(zlib.crc32(f"{asked.seed} {kind} {number}".encode()))
                own = folder / f"{kind.replace(' ', '-')}-{number}"
                own.mkdir()
                yield arena.Mutant(kind, str(number), own, KINDS[kind].make(rng, folder / "corpus", own))


def _tell(ended: arena.Ended, asked: argparse.Namespace) -> None:
    if ended.verdict in BAD or asked.verbose:
        act = ended.mutant.act
        print(
            f"--- {ended.verdict}: --kinds {ended.mutant.kind!r} --only {ended.mutant.name} {getattr(act, 'args', '')}"
        )
        print(ended.said.strip()[-3000:])
        sys.stdout.flush()


def _print_table(counts: Counter[tuple[str, str]]) -> None:
    kinds = [*dict.fromkeys(kind for kind, _ in counts)]
    rows = [(kind, [counts[kind, verdict] for verdict in COLUMNS]) for kind in kinds]
    rows.append(("together", [sum(column) for column in zip(*(numbers for _, numbers in rows), strict=True)]))
    print("| kind | mutants | refused with one line | accepted | tracebacks | hangs | writes elsewhere |")
    print("|---|---|---|---|---|---|---|")
    for kind, numbers in rows:
        print("|", " | ".join([kind, str(sum(numbers)), *map(str, numbers)]), "|")


if __name__ == "__main__":
    sys.exit(main())
