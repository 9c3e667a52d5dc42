"""Which ids a file had so far; memory stays flat, for SQLite keeps them on disk."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

_CACHE = 32
"""MiB that they may take in memory."""


class Seen:
    """Ids of runs, as 64-bit hashes: of a million, two are taken for one with odds of 1 to 10^7."""

    def __init__(self) -> None:
        self._database = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        for setting in ("journal_mode = OFF", f"cache_size = -{_CACHE * 1024}"):
            self._database.execute(f"PRAGMA {setting}").close()
        self._database.execute("CREATE TABLE seen (id INTEGER PRIMARY KEY, time INTEGER)")
        self._database.execute("BEGIN")
        self._times = 0

    def add(self, run_ids: Sequence[str]) -> set[str]:
        """Add ids, each given once; returned are those that were there already."""
        self._times += 1
        rows = [(hash(run_id), self._times) for run_id in run_ids]
        before = self._database.total_changes
        self._database.executemany("INSERT OR IGNORE INTO seen VALUES (?, ?)", rows)
        if self._database.total_changes - before == len(rows):
            return set()
        asked = "SELECT time FROM seen WHERE id = ?"
        times = (self._database.execute(asked, (number,)).fetchone()[0] for number, _ in rows)
        return {run_id for run_id, time in zip(run_ids, times, strict=True) if time != self._times}

    def close(self) -> None:
        """Forget them."""
        self._database.close()


def repeated(run_ids: Sequence[str]) -> set[int]:
    """Positions of ids that came before among these."""
    if len(set(run_ids)) == len(run_ids):
        return set()
    first: dict[str, int] = {}
    return {at for at, run_id in enumerate(run_ids) if first.setdefault(run_id, at) != at}
