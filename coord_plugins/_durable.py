"""What a host with checkpoints keeps for a run's resume, and how two parts of it merge.

Keys: "run" (identity), "e:STEP" (an edge's rejections, feedback and targets; with the rejections
alone: it passed, and forgets up to so many), "t:STEP" (counts, added up), "o:STEP" (an accepted
output). Adapters add keys of their own; every other key is replaced, and None deletes it. All
values are plain JSON values but outputs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ._tally import StepTally


def merge_durable(kept: Mapping[str, Any] | None, new: Mapping[str, Any] | None) -> dict[str, Any]:
    """Merge what a step committed into what was kept; the key "*" with None forgets all.

    Pure and, for parts of different steps, independent of their order, so that it can be a
    channel's reducer.
    """
    new = new or {}
    merged = {} if "*" in new else dict(kept or {})
    for key, value in new.items():
        if key == "*":
            continue
        if value is None:
            merged.pop(key, None)
        elif key.startswith("e:") and len(value) == 1:
            if key in merged and merged[key][0] <= value[0]:
                del merged[key]
        elif key.startswith("t:") and key in merged:
            tally = StepTally.from_dict(merged[key])
            tally.merge(StepTally.from_dict(value))
            merged[key] = tally.to_dict()
        else:
            merged[key] = value
    return merged
