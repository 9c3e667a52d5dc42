"""Where events wait that a store could not take: one JSON-lines file per process."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ._events import Event, OutcomeRecorded, RunFinished, RunPaused, RunStarted
from ._record import RunRecord
from ._store_rows import to_json

log = logging.getLogger("coord_plugins.store")
_RUN_EVENTS = {c.__name__: c for c in (RunStarted, RunPaused, RunFinished)}


class Spool:
    """Files `<pid>.jsonl` in one directory; each is claimed by renaming before it is replayed."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def write(self, events: Iterable[Event]) -> None:
        """Append events; what was written survives the end of this process."""
        self.directory.mkdir(parents=True, exist_ok=True)
        with open(self.directory / f"{os.getpid()}.jsonl", "a", encoding="utf-8") as file:
            for event in events:
                if (data := _to_dict(event)) is not None:
                    file.write(to_json(data) + "\n")

    def count(self) -> int:
        """Events that wait."""
        total = 0
        for path in self._files():
            with path.open("rb") as file:
                total += sum(1 for _ in file)
        return total

    def claim(self) -> Iterator[tuple[Path, list[Event]]]:
        """The waiting events of this process and of dead ones, a file at a time.

        The caller deletes the file once its events are stored; an unreadable line, cut short
        by a kill, is skipped.
        """
        for path in self._files():
            if not _is_ours(path):
                continue
            mine = path.with_name(f"{os.getpid()}.{path.name}")
            try:
                path.rename(mine)
            except OSError:  # another process was quicker
                continue
            yield mine, list(_read(mine))

    def _files(self) -> list[Path]:
        return sorted(self.directory.glob("*.jsonl")) if self.directory.is_dir() else []


def _is_ours(path: Path) -> bool:
    owner = path.name.split(".")[0]
    if not owner.isdigit() or int(owner) == os.getpid():
        return True
    if os.name == "nt":  # there, signal 0 is no question but Ctrl-C
        return False
    try:
        os.kill(int(owner), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


def _to_dict(event: Event) -> dict[str, Any] | None:
    if isinstance(event, (RunStarted, RunPaused, RunFinished)):
        return {"event": type(event).__name__, "record": event.record.to_dict()}
    if isinstance(event, OutcomeRecorded):
        return {"event": "OutcomeRecorded", **event._replace(record=None)._asdict()}
    return None


def _read(path: Path) -> Iterator[Event]:
    with path.open(encoding="utf-8", errors="replace") as file:
        for number, line in enumerate(file, 1):
            event = _event(line)
            if event is None:
                log.warning("line %d of %s cannot be read and is left out", number, path)
            else:
                yield event


def _event(line: str) -> Event | None:
    try:
        data = json.loads(line)
        name = data.pop("event")
        if name == "OutcomeRecorded":
            return OutcomeRecorded(**data)
        return _RUN_EVENTS[name](RunRecord.from_dict(data["record"]))
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
