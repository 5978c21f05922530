"""`python -m bench [TIMES]`: every figure of docs/benchmarks.md; exit status 1 when one misses its limit."""

from __future__ import annotations

import sys

from bench import fleet
from bench.failover import rows, start_rows
from bench.measure import table


def main(times: int) -> int:
    """Measures, prints the table."""
    measured = [*start_rows(times // 2), *rows(times), *fleet.rows(times)]
    print(f"\n{table(measured)}")
    return 0 if all(row.keeps_limit for row in measured) else 1


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 20))
