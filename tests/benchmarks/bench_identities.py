"""Identities: one million random event logs, and every report over them adds up."""

from __future__ import annotations

import random
import time

from event_logs import check_logs, shuffled
from measure import Size, table

RUNS = 1_000_000
_PART = 50_000
"""Runs of one store; a run needs some 2 kB there."""


def identities(size: Size) -> None:
    """Check as many logs as the size says."""
    wanted = max(200, size.count(RUNS))
    began, done = time.perf_counter(), 0
    while done < wanted:
        runs = min(_PART, wanted - done)
        store = check_logs(shuffled(random.Random(done), runs), runs)
        store._engine.dispose()
        done += runs
        print(f"{done:,} logs, every identity holds ({time.perf_counter() - began:.0f} s)")
    rows = [("event logs whose reports add up", f"{done:,}", f"{wanted:,}")]
    table("identities of reports", ("", "held", "target"), rows)
