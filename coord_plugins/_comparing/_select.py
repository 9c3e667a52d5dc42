"""Selectors: which runs one side of a comparison is."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from .._record import RunRecord
from .._reporting._source import reading
from .._store_query import Query, value_of
from ..errors import PolicyError
from ._runs import Runs, fold_records, fold_store

if TYPE_CHECKING:
    from .._store import Store

Selector: TypeAlias = "str | os.PathLike[str] | Store | Iterable[RunRecord]"
FILES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")
"""Suffixes of files that are read as runs, with or without .gz behind them."""
_DATABASES = (".db", ".sqlite", ".sqlite3")
_SHOWN = 12
"""Values that an error lists."""
_HOW = "write KEY=VALUE, for example release=1.4, or name a store or a .csv, .jsonl, .parquet file"


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """A selector that was read: a place and the values that its runs must have."""

    name: str
    """How people call it."""
    place: Any
    """A store, its URL or path, a file's path, or records; None: the configured store."""
    where: Mapping[str, str]
    """Columns or metadata keys, with their values."""

    @property
    def is_file(self) -> bool:
        """Whether the place is a file of runs."""
        return isinstance(self.place, Path)

    @property
    def is_records(self) -> bool:
        """Whether the place is records in memory."""
        return isinstance(self.place, (list, tuple))


def choose(selector: Selector, name: str, default: Any) -> Chosen:
    """Read a selector.

    Args:
        selector: `KEY=VALUE[,KEY=VALUE ...]` in the default place, a place, or
            `PLACE#KEY=VALUE[,...]`; a store; or records.
        name: What to call a side that was not selected in words.
        default: The place of a selector that names none: a store, a URL, a path, or records.

    Raises:
        PolicyError: It is none of these.
    """
    if isinstance(selector, os.PathLike):
        path = Path(selector)
        return Chosen(name=str(path), place=_place(path), where={})
    if not isinstance(selector, str):
        from .._store import Store

        if isinstance(selector, Store):
            return Chosen(name=selector.url, place=selector, where={})
        return Chosen(name=name, place=_listed(selector, name), where={})
    text = selector.strip()
    before, hash_sign, after = text.partition("#")
    if hash_sign and _is_place(before):
        return Chosen(name=text, place=_place(before), where=_pairs(after, text))
    if _is_place(text):
        return Chosen(name=text, place=_place(text), where={})
    place = _place(default) if isinstance(default, (str, Path)) else default
    return Chosen(name=text, place=place, where=_pairs(text, text))


def _listed(records: Any, name: str) -> list[RunRecord]:
    found = list(records) if isinstance(records, Iterable) else None
    if found is None or not all(isinstance(r, RunRecord) for r in found):
        raise PolicyError(f"{name}: {type(records).__name__} is no selector; {_HOW}, or records")
    return found


def _is_place(text: str) -> bool:
    suffix = _suffix(text)
    # a known suffix alone does not do: model=gpt-5.db would be a fine value of a key
    return (
        "://" in text
        or text in ("memory", "off")
        or ("=" not in text and suffix in (*FILES, *_DATABASES))
        or os.path.isfile(text)  # False for a text that no path can be
    )


def _suffix(place: str) -> str:
    return Path(place.lower().removesuffix(".gz")).suffix


def _place(place: str | Path) -> Any:
    text = str(place)
    return Path(text) if _suffix(text) in FILES and "://" not in text else text


def _pairs(text: str, whole: str) -> dict[str, str]:
    wanted: dict[str, str] = {}
    for pair in text.split(","):
        key, equals, value = pair.strip().partition("=")
        if not equals or not key or not value:
            raise PolicyError(f"the selector {whole!r} cannot be read at {pair!r}; {_HOW}")
        if key in wanted:
            raise PolicyError(f"the selector {whole!r} names {key!r} twice")
        wanted[key] = value
    return wanted


def load(
    chosen: Chosen, query: Query, *, self_reported: bool, progress: Callable[[int], None]
) -> Runs:
    """The side's runs.

    Args:
        chosen: The selector.
        query: The shared filters.
        self_reported: Whether labels that an agent gave itself count.
        progress: Called with the number of runs read so far.

    Raises:
        PolicyError: No run matches; the message lists the values that there are.
        StoreError: The store or file cannot be read.
    """
    into = Runs(chosen.name, self_reported)
    own = replace(query, where={**query.where, **chosen.where})
    clash = [k for k, v in chosen.where.items() if query.where.get(k, v) != v]
    if clash:
        raise PolicyError(f"{chosen.name!r} and the shared filters want two values of {clash[0]!r}")
    if chosen.is_records:
        fold_records(into, chosen.place, own, progress)
    elif chosen.is_file:
        fold_records(into, _file(chosen.place), own, progress)
    else:
        with reading(chosen.place) as store:
            fold_store(into, store, own, progress)
    if not into.started:
        raise PolicyError(_nothing(chosen, query))
    return into


def _file(path: Path) -> Iterable[RunRecord]:
    from .._importing._import import read_runs

    return read_runs(path)


def same_place(one: Chosen, other: Chosen) -> bool:
    """Whether two selectors read from the same place, so that one run may be in both."""
    if one.is_records and other.is_records:
        return True
    if one.is_file or other.is_file:
        both = one.is_file and other.is_file
        return both and one.place.resolve() == other.place.resolve()
    if one.is_records or other.is_records:
        return False
    return _url(one) == _url(other)


def _url(chosen: Chosen) -> str:
    with reading(chosen.place) as store:
        return store.url


def _nothing(chosen: Chosen, query: Query) -> str:
    """Say that nothing matches, and what there is."""
    said = f"no run matches {chosen.name}"
    for key, value in chosen.where.items():
        values = _values(chosen, query, key, {})
        if value in values:
            continue
        named = _some(values)
        if not named:
            return f"{said}: no run has a {key}"
        return f"{said}: there is no {key}={value}; recorded are {named}"
    if len(chosen.where) > 1:
        *others, last = chosen.where
        rest = {key: chosen.where[key] for key in others}
        named = _some(_values(chosen, query, last, rest)) or "none"
        with_them = ",".join(f"{k}={v}" for k, v in rest.items())
        return f"{said} in all; with {with_them} the values of {last} are {named}"
    filtered = query.pipelines or query.where or query.since or query.before()
    return f"{said}; the filters leave nothing" if filtered else f"{said}: it is empty"


def _values(chosen: Chosen, query: Query, key: str, where: Mapping[str, str]) -> Mapping[str, int]:
    """How many runs have which value of a key, under the shared filters."""
    wanted = replace(query, where={**query.where, **where})
    counts: Counter[str] = Counter()
    if chosen.is_records or chosen.is_file:
        for record in chosen.place if chosen.is_records else _file(chosen.place):
            value = value_of(record, key) if wanted.matches(record) else None
            if value is not None:
                counts[value] += 1
        return counts
    with reading(chosen.place) as store:
        for line in store.iter_lines(wanted, key, "run"):
            if line.by is not None:
                counts[line.by] += line.n
    return counts


def _some(values: Mapping[str, int]) -> str:
    listed = sorted(values)
    named = ", ".join(f"{value} ({values[value]:,} runs)" for value in listed[:_SHOWN])
    left = len(listed) - _SHOWN
    return f"{named} and {left:,} more" if left > 0 else named
