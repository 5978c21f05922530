"""`python -m bench.plots`: the plots of docs/benchmarks.md, drawn from the figures beside them.

The same figures give the same bytes. Lines and letters are of a middle grey and middle colours, on no background: they
can be read on white and on black.
"""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, Any

import matplotlib as mpl

mpl.use("svg")

from matplotlib import pyplot as plt
from matplotlib.ticker import FuncFormatter, LogLocator

from bench.results import PLACE, load

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

GREY = "#7a7a7a"
BLUE, ORANGE, GREEN, VIOLET = "#3f7fd0", "#d9722e", "#2f9e5b", "#a05cc0"

#: The parts of a fail-over, and of the growth, in their colours.
PHASES = {"detection": ("detection", ORANGE), "hand_over": ("hand-over", BLUE), "arp": ("ARP", GREEN)}
DIMENSIONS = {"instances": BLUE, "VIPs": ORANGE, "targets": GREEN, "peers": VIOLET}
METRICS = {
    "render": "ka render (s)",
    "start": "ka run to keepalived (s)",
    "fail_over": "failed probe to the last VIP on the peer (s)",
    "memory": "memory of a node (MiB, PSS)",
    "idle": "idle node (% of a core)",
}

STYLE: Any = {
    "svg.hashsalt": "docker-keepalived",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9,
    "savefig.transparent": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 9,
    "grid.alpha": 0.3,
    "grid.linewidth": 0.5,
    "legend.frameon": False,
    **dict.fromkeys(
        (
            "text.color",
            "axes.edgecolor",
            "axes.labelcolor",
            "axes.titlecolor",
            "xtick.color",
            "ytick.color",
            "grid.color",
        ),
        GREY,
    ),
}


def draw(found: Mapping[str, Any], place: Path) -> None:
    """Draws what there are figures for."""
    with mpl.rc_context(STYLE):
        if "faults" in found:
            _save(_faults(found["faults"]["measured"]), place / "faults.svg")
        if "growth" in found:
            _save(_growth(found["growth"]["measured"]), place / "growth.svg")


def _faults(measured: Mapping[str, Mapping[str, Sequence[Mapping[str, float]]]]) -> Figure:
    """Two bars a fault, each of its phases' medians."""
    figure, axes = plt.subplots(figsize=(8, 0.6 * len(measured) + 1.2), layout="constrained")
    longest = 0.0
    for row, by in enumerate(measured.values()):
        for number, (name, outcomes) in enumerate(by.items()):
            left, at = 0.0, row + number * 0.38 - 0.19
            for phase, (title, colour) in PHASES.items():
                width = median(one[phase] for one in outcomes)
                label = title if row == number == 0 else None
                axes.barh(at, width, 0.34, left, color=colour, label=label)
                left += width
            longest = max(longest, left)
            axes.annotate(
                f"{_duration(left)}  {name}", (left, at), (4, 0), textcoords="offset points", va="center", size=8
            )
    axes.set_yticks(range(len(measured)), list(measured))
    axes.invert_yaxis()
    axes.set_xlim(0, longest * 1.35)
    axes.set_xlabel("seconds from the fault to the peer's first answer at the client (medians)")
    axes.grid(axis="x")
    axes.set_axisbelow(True)
    axes.legend(loc="lower right")
    return figure


def _duration(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.2f} s"


def _growth(measured: Mapping[str, Sequence[Mapping[str, float]]]) -> Figure:
    """A panel for each figure, with a line for each dimension."""
    figure, grid = plt.subplots(2, 3, figsize=(9, 5.2), layout="constrained")
    panels: list[Axes] = list(grid.flat)
    for axes, (metric, title) in zip(panels, METRICS.items(), strict=False):
        for dimension, points in measured.items():
            sizes, values = [point["size"] for point in points], [max(point[metric], 1e-3) for point in points]
            axes.plot(sizes, values, "o-", color=DIMENSIONS[dimension], label=dimension, markersize=3, linewidth=1.3)
        axes.set_title(title)
        axes.set_xscale("log")
        if metric == "memory":
            axes.set_ylim(0)
        else:
            axes.set_yscale("log")
            axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.minorticks_off()
        axes.grid()
    last = panels[-1]
    last.axis("off")
    handles, labels = panels[0].get_legend_handles_labels()
    last.legend(handles, labels, loc="center", title="how many there are of")
    return figure


def _save(figure: Figure, file: Path) -> None:
    figure.savefig(file, metadata={"Date": None, "Creator": None})
    plt.close(figure)


if __name__ == "__main__":
    draw(load(PLACE), PLACE)
