"""What an import would do: the columns and the first rows of a file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

from .._record import RunRecord
from ._batches import batches
from ._import import BadRow, make_options


@dataclass(frozen=True, kw_only=True)
class Preview:
    """What an import would do, from a file's first rows."""

    columns: Mapping[str, str]
    """As in `Imported`."""
    metadata: tuple[str, ...]
    """As in `Imported`."""
    ignored: tuple[str, ...]
    """As in `Imported`."""
    records: tuple[RunRecord, ...]
    """The first runs."""
    bad: tuple[BadRow, ...]
    """The first bad rows."""

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "columns": dict(self.columns),
            "metadata": list(self.metadata),
            "ignored": list(self.ignored),
            "runs": [record.to_dict() for record in self.records],
            "bad": [asdict(row) for row in self.bad],
        }


def preview(path: str | os.PathLike[str], **options: Any) -> Preview:
    """What `import_runs` would make of a file; nothing is written.

    Raises:
        PolicyError: As `import_runs` does.
    """
    given = {"map": None, "ignore": (), "pipeline": None, "source": "late"}
    given |= {"missing": "failure", "threshold": None, "at": None, "name": None}
    found = make_options(**{**given, "encoding": "utf-8", **options})
    with closing(batches(os.fspath(path), found)) as all_of_them:
        first = next(all_of_them)
    return Preview(
        columns=dict(first.columns.fields) if first.columns else {},
        metadata=first.columns.metadata if first.columns else (),
        ignored=first.columns.ignored if first.columns else (),
        records=tuple(islice(first.records(), 3)),
        bad=tuple(BadRow(*row) for row in first.bad[:20]),
    )
