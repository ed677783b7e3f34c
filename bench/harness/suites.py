"""The suites: rows that are measured on the same programs and stand in one table."""

from dataclasses import dataclass
from typing import Callable, Optional

from harness import executors, network, rows, runtimes, ticks


@dataclass(frozen=True)
class Suite:
    marker: str  # Of its place in the document.
    rows: tuple
    runtimes: Callable  # Given the C++ build.
    load: Optional[Callable] = None  # Builds the client of its servers, given the C++ build.


SUITES = (
    Suite("bench", rows.ROWS, runtimes.all_runtimes),
    Suite("bench:executors", executors.ROWS, executors.all_runtimes),
    Suite("bench:network", network.ROWS, network.all_runtimes, network.build_load),
    Suite("bench:ticks", ticks.ROWS, ticks.all_runtimes),
)

ROW_NAMES = tuple(row.name for suite in SUITES for row in suite.rows)

# A suite's name stands for all of its rows.
SUITE_ROWS = {
    suite.marker.rpartition(":")[2]: {row.name for row in suite.rows} for suite in SUITES
}
