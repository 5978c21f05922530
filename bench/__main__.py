"""`python -m bench [--quick] [PART …]`: the figures, plots and tables of docs/benchmarks.md.

The parts are `figures`, `faults`, `growth`, `probes` and `load`; without any it is all of them. `--quick` tries each
part in a few minutes, and leaves the documents as they are. Exit status 1 when a figure misses its limit.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from bench import checks, document, failover, fleet, growth, load, plots, proof, results
from bench.measure import table

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bench.measure import Row


def figures(*, quick: bool) -> list[Row]:
    """The fail-over's, the start's, the memory's and the fleet's."""
    times = 4 if quick else 20
    return [*failover.start_rows(max(times // 2, 2)), *failover.rows(times), *fleet.rows(times)]


def faults(*, quick: bool) -> Mapping[str, Any]:
    """Every fault, ours and a hand-written configuration."""
    return proof.measure(1 if quick else 9)


def grown(*, quick: bool) -> Mapping[str, Any]:
    """What grows."""
    return growth.measure(
        {name: (sizes[0], sizes[2]) for name, sizes in growth.SIZES.items()} if quick else growth.SIZES
    )


def probes(*, quick: bool) -> list[Row]:
    """A probe beside a forked curl."""
    return checks.beside_curl(2 if quick else 5)


def loaded(*, quick: bool) -> Sequence[Mapping[str, Any]]:
    """False fail-overs on a machine that has no time."""
    return load.measure(20.0 if quick else 300.0)


PARTS: dict[str, Callable[..., Any]] = {
    "figures": figures,
    "faults": faults,
    "growth": grown,
    "probes": probes,
    "load": loaded,
}


def main(parts: list[str], *, quick: bool) -> int:
    """Measures, and keeps each part as soon as it is there."""
    place = results.CHECKOUT / "build" / "bench" if quick else results.PLACE
    in_limits = True
    for part in parts or PARTS:
        if part == "load" and (problem := load.obstacle()):
            print(problem)
            continue
        measured = PARTS[part](quick=quick)
        if part in ("figures", "probes"):
            print(f"\n{table(measured)}\n")
            in_limits &= all(row.keeps_limit for row in measured)
            measured = [vars(row) for row in measured]
        found = results.store(place, part, measured)
        plots.draw(found, place)
        if quick:
            print(document.tables(found, part))
        else:
            document.write(found)
    return 0 if in_limits else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench")
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--quick", action="store_true", help="few repetitions, and no document is changed")
    asked = parser.parse_args()
    if unknown := set(asked.parts) - set(PARTS):
        parser.error(f"there is no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    sys.exit(main(asked.parts, quick=asked.quick))
