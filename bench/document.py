"""The tables of docs/benchmarks.md and docs/fleet.md, from the figures that were kept."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, Any

from bench.measure import Row, table
from bench.results import CHECKOUT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: The parts of a fail-over.
PHASES = ("detection", "hand_over", "arp")

#: Where the table of each part stands, between the comments `<!-- bench PART: … -->` and `<!-- /bench PART -->`.
DOCUMENTS = {
    "figures": "docs/benchmarks.md",
    "faults": "docs/benchmarks.md",
    "growth": "docs/benchmarks.md",
    "probes": "docs/benchmarks.md",
    "load": "docs/fleet.md",
}


def write(found: Mapping[str, Any]) -> None:
    """Puts the table of every part that was measured into its place."""
    for part in found:
        file = CHECKOUT / DOCUMENTS[part]
        text = file.read_text(encoding="utf-8")
        fresh = tables(found, part)
        start, end = text.index("-->\n", text.index(f"<!-- bench {part}:")) + 4, text.index(f"<!-- /bench {part} -->")
        file.write_text(f"{text[:start]}\n{fresh}\n\n{text[end:]}", encoding="utf-8")


def tables(found: Mapping[str, Any], part: str) -> str:
    """The part as Markdown, and the machine it is from."""
    measured = found[part]["measured"]
    match part:
        case "faults":
            text = _faults(measured)
        case "growth":
            text = _growth(measured)
        case "load":
            text = _load(measured)
        case _:
            text = _rows(measured)
    return f"{text}\n\n{_machine(found[part]['machine'])}"


def _machine(machine: Mapping[str, Any]) -> str:
    return (
        f"{machine['cores']} cores, load {machine['load']:g}; kernel {machine['kernel']}, "
        f"keepalived {machine['keepalived']}, Python {machine['python']}."
    )


def _rows(measured: Sequence[Mapping[str, Any]]) -> str:
    return table([Row(row["what"], tuple(row["values"]), row["unit"], row["limit"]) for row in measured])


def _faults(measured: Mapping[str, Mapping[str, Sequence[Mapping[str, Any]]]]) -> str:
    names = list(next(iter(measured.values())))
    lines = [
        "| fault | by | detection + hand-over + ARP, ms | lowest–highest | client in the dark, ms | two holders, ms |",
        "|---|---|---|---|---|---|",
    ]
    for fault, by in measured.items():
        totals = {name: [_total(one) for one in by[name]] for name in names}
        faster = median(totals[names[1]]) / median(totals[names[0]])
        for name in names:
            first = f"{fault}: {faster:.1f} × faster" if name == names[0] else ""
            phases = " + ".join(_ms(median(one[phase] for one in by[name])) for phase in PHASES)
            span = f"{_ms(min(totals[name]))}–{_ms(max(totals[name]))}"
            dark, two = median(one["dark"] for one in by[name]), _two([one["two"] for one in by[name]])
            lines.append(
                f"| {first} | {name} | {phases} = **{_ms(median(totals[name]))}** | {span} | {_ms(dark)} | {two} |"
            )
    return "\n".join(lines)


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.0f}"


def _total(outcome: Mapping[str, float]) -> float:
    return sum(outcome[phase] for phase in PHASES)


def _two(spans: Sequence[float | None]) -> str:
    stayed = sum(span is None for span in spans)
    if stayed:
        return f"until somebody acts ({stayed} of {len(spans)})"
    return f"{max(span for span in spans if span is not None) * 1000:.0f} at most"


def _growth(measured: Mapping[str, Sequence[Mapping[str, float]]]) -> str:
    lines = [
        "| how many | render, s | start, s | fail-over, ms | memory, MiB | idle, % of a core |",
        "|---|---|---|---|---|---|",
    ]
    for dimension, points in measured.items():
        for point in points:
            lines.append(
                f"| {point['size']:.0f} {dimension} | {point['render']:.2f} | {point['start']:.2f} "
                f"| {point['fail_over'] * 1000:.0f} | {point['memory']:.0f} | {point['idle']:.1f} |"
            )
    return "\n".join(lines)


def _load(measured: Sequence[Mapping[str, Any]]) -> str:
    intervals = sorted({run["interval"] for run in measured}, reverse=True)
    counts: dict[tuple[str, ...], dict[float, str]] = {}
    for run in measured:
        by_check = f" ({run['by_check']} by the check)" if run["by_check"] else ""
        row = counts.setdefault((run["load"], run["share"], run["words"] or "–"), {})
        row[run["interval"]] = f"{run['fail_overs']}{by_check}"
    head = [f"adverts every {interval:g} s" for interval in intervals]
    lines = [
        f"| load, {measured[0]['seconds']:.0f} s | processor time | added | {' | '.join(head)} |",
        "|---" * (3 + len(intervals)) + "|",
    ]
    lines += [f"| {' | '.join((*what, *(row[interval] for interval in intervals)))} |" for what, row in counts.items()]
    return "\n".join(lines)
