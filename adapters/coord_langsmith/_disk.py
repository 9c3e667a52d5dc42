"""What is on disk beside the spool: where it is, and what was lost."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path

from coord_plugins import Event, RunRecord
from coord_plugins.host import Spool

log = logging.getLogger("coord_plugins.langsmith")
SPOOL = Path(".coord") / "langsmith"
"""Where outcomes wait, under the current directory."""
LOST = "lost.txt"
"""One line per outcome that LangSmith refused, or that could not even be kept."""


class DefaultSpool(Spool):
    """The default directory, which git ignores; made when something must wait."""

    def write(self, events: Iterable[Event]) -> None:
        """As a spool's own."""
        parent = self.directory.parent
        parent.mkdir(exist_ok=True)
        ignore = parent / ".gitignore"
        if not ignore.exists():
            ignore.write_text("*\n", encoding="utf-8")
        super().write(events)


def open_spool(directory: Path | None) -> Spool:
    """The spool of a directory.

    Args:
        directory: None: the default one.
    """
    if directory is not None:
        return Spool(directory.absolute())
    return DefaultSpool(SPOOL.absolute())


def note_lost(spool: Spool, how: str, record: RunRecord, error: Exception) -> None:
    """Say that an outcome is lost, in the log and, for `coord doctor`, on disk.

    Args:
        spool: Where it would have waited.
        how: "refused" or "dropped".
        record: Whose outcome it is.
        error: Why.
    """
    log.error("the outcome of run %s is %s: %s", record.run_id, how, error)
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    why = " ".join(str(error).split())[:200]
    with suppress(OSError):  # the disk may be what failed
        spool.directory.mkdir(parents=True, exist_ok=True)
        with open(spool.directory / LOST, "a", encoding="utf-8") as file:
            file.write(f"{now} {how} {record.run_id} {why}\n")


def lost(spool: Spool) -> dict[str, int]:
    """How many outcomes were refused and dropped, by all processes that use this directory.

    Args:
        spool: The spool.
    """
    try:
        lines = (spool.directory / LOST).read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    said = [line.split(" ", 2)[1] for line in lines if line.count(" ") >= 2]
    return {how: said.count(how) for how in ("refused", "dropped")}
