"""Do every fault, print the table, and exit with 1 if anything was not as claimed."""

from __future__ import annotations

import argparse
import itertools
import signal
import sys
import time

import benchmarks.faults
from benchmarks.faults.audit import Account, audit
from benchmarks.faults.table import FAULTS, Fault
from benchmarks.faults.victim import Victim

SESSIONS = 40  # of one search, at most
RETRIES = 3  # how often a candidate is trained that kills its process, by default


def tried(fault: Fault, times: int, seed: int) -> tuple[int, Account]:
    """Search once, with up to so many strikes of a fault; return how many there were, and what the audit found."""
    with Victim(seed, sick=fault.sick, seconds=fault.seconds) as victim, fault.around(victim) as around:
        for _ in range(SESSIONS):
            victim.start(*around.options)
            while fault.strike is not None and len(victim.strikes) < min(times, fault.most) and victim.runs:
                victim.moment()
                if not victim.runs:
                    break
                victim.strike(lambda: fault.strike and fault.strike(victim, around))
                if fault.codes:
                    break
                victim.goes_on()
            struck = time.monotonic()
            code = victim.end()
            if fault.codes and victim.strikes:
                victim.seconds.append(time.monotonic() - struck)
            if code == 0:
                break
        count = len(victim.strikes) if fault.strike else sum(one.state == "FAIL" for one in victim.finished().values())
        return count, audit(victim, fault.codes | fault.early, RETRIES)


def measured(fault: Fault, times: int, seed: int, until: float) -> tuple[int, Account]:
    """Do a fault so many times, in as many searches as it takes, unless the time is over."""
    count, found = 0, Account()
    for place in itertools.count():
        if count >= times or time.monotonic() > until:
            return count, found
        more, one = tried(fault, times - count, seed + place)
        count += more
        found.add(one)
        for line in one.lines:
            print(f"  {fault.title}, seed {seed + place}: {line}", file=sys.stderr, flush=True)
    raise AssertionError


def main() -> None:
    """Do the faults that are asked for."""
    parser = argparse.ArgumentParser(
        description=benchmarks.faults.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=FAULTS, metavar="NAME", default=list(FAULTS))
    parser.add_argument("--times", type=int, help="how often each is tried, instead of its own number")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=60, help="faults that have not begun by then are left out")
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # no search is left behind
    until, faulty = time.monotonic() + 60 * asked.minutes, 0
    print("| fault | tried | lost | twice | blamed | untrue | left | longest, s |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|", flush=True)
    for name in asked.only:
        fault = FAULTS[name]
        count, found = measured(fault, asked.times or fault.times, asked.seed, until)
        counts = found.lost, found.twice, found.blamed, found.untrue, found.left
        longest = f"{max(found.seconds):.0f}" if found.seconds else ""
        print(f"| {fault.title} | {count} | {' | '.join(map(str, counts))} | {longest} |", flush=True)
        faulty += found.faulty
    sys.exit(faulty > 0)


if __name__ == "__main__":
    main()
