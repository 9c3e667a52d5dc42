"""One cell of somebody's file as a value: numbers, moments, outcomes."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import math
import re
from collections.abc import Callable
from typing import Any, NamedTuple

from .._outcome import OUTCOMES

MISSING = frozenset({"", "na", "n/a", "nan", "none", "null", "nil", "-", "?"})
"""Texts, in lower case, that mean that there is no value."""
_YES = "true t yes y pass passed success succeeded successful correct right ok resolved solved 1"
_NO = "false f no n fail failed failure incorrect wrong unresolved unsolved 0"
_FRACTION = re.compile(r"(?<=:\d\d)[.,](\d+)")
_NO_OUTCOME = "no outcome was given"


class Ending(NamedTuple):
    """How a run ended, in the fields of a `RunRecord`."""

    end: str | None
    detail: str | None
    passed: bool | None
    status: str = "finished"
    error: str | None = None
    """What stands for the error where the file names none."""


SUCCESS = Ending("delivered", "first_pass", True)
FAILURE = Ending("delivered", "first_pass", False)
UNLABELLED = Ending("delivered", "first_pass", None)
ABSENT = Ending("error", "crash", None, "finished", _NO_OUTCOME)
"""A run of which nobody says that it did its job: it counts as one that never ended."""


def _outcomes() -> dict[str, Ending]:
    found = {}
    for name in OUTCOMES:
        family, _, detail = name.partition(".")
        if family == "in_flight":
            ending = Ending(None, None, None, detail)
        elif family in ("success", "silent_failure"):
            kept = "unjudged" if detail == "after_retry" else detail
            ending = Ending("delivered", kept, family == "success")
        elif family == "unlabelled":
            ending = UNLABELLED
        else:
            ending = Ending(family, detail, None)
        found[name] = ending
    return found


_ENDED: dict[str, Ending] = _outcomes()
_ENDED |= {
    "silent_failure": FAILURE,
    **dict.fromkeys(
        "escalated escalation handoff handed_off".split(), _ENDED["escalated.unjudged"]
    ),
    **dict.fromkeys("error errored crash crashed exception".split(), _ENDED["error.crash"]),
    **dict.fromkeys("timeout timed_out time_out".split(), _ENDED["error.timeout"]),
    **dict.fromkeys(
        "cancelled canceled aborted interrupted killed".split(), _ENDED["error.cancelled"]
    ),
    **dict.fromkeys("budget budget_exceeded".split(), _ENDED["error.budget"]),
    "recursion_limit": _ENDED["error.recursion_limit"],
    **dict.fromkeys(
        "in_flight running in_progress pending queued started".split(), _ENDED["in_flight.running"]
    ),
    **dict.fromkeys("paused waiting".split(), _ENDED["in_flight.paused"]),
}
_OUTCOME = _ENDED | dict.fromkeys(_YES.split(), SUCCESS) | dict.fromkeys(_NO.split(), FAILURE)
_STATUS = (
    _ENDED
    | dict.fromkeys("success succeeded successful passed".split(), SUCCESS)
    | dict.fromkeys("completed complete finished done ended delivered ok".split(), UNLABELLED)
    # of a status, and not of an outcome: the run itself failed
    | dict.fromkeys("failed failure fail".split(), _ENDED["error.crash"])
)


def is_missing(value: Any) -> bool:
    """Whether a cell holds no value."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return True
    return isinstance(value, str) and value.strip().lower() in MISSING


def outcome(value: Any, threshold: float | None) -> Ending | None:
    """Whether a run did its job: true, false, a number, or one of the words of `OUTCOMES`.

    Args:
        value: The cell.
        threshold: The lowest number that passes; None: only 0 and 1 are understood.

    Returns:
        How it ended; None: the cell is empty.

    Raises:
        ValueError: The cell says neither; the message says why.
    """
    if is_missing(value):
        return None
    if isinstance(value, bool):
        return SUCCESS if value else FAILURE
    number = _plain_number(value)
    if number is None:
        found = _OUTCOME.get(_word(value))
        if found is None:
            raise ValueError(f"{_shown(value)} is neither true nor false, no number and no outcome")
        return found
    if threshold is not None:
        return SUCCESS if number >= threshold else FAILURE
    if number in (0, 1):
        return SUCCESS if number else FAILURE
    raise ValueError(f"{_shown(value)} is neither 0 nor 1; say from where on with a threshold")


def ending(said: Ending | None, status: Any, error: str | None, *, missing: Ending) -> Ending:
    """How a run ended, from what up to three columns say of it.

    A status that tells of an error, an escalation or a run under way decides. Of a run that was
    delivered the outcome decides; where there is none, an error text, then a status "success".

    Args:
        said: What the outcome's column said.
        status: The cell of a column about how the run ended, as software.
        error: The class of an error text, where there is one.
        missing: What a run is that nothing is said of.

    Raises:
        ValueError: The status is no word that is known, or contradicts the outcome.
    """
    stated = None
    if not is_missing(status):
        stated = _STATUS.get(_word(status))
        if stated is None:
            raise ValueError(
                f"the status {_shown(status)} is not known; ignore the column or map it"
            )
    if stated is not None and stated.end != "delivered":
        if said is not None and said.passed:
            raise ValueError(f"the status {_shown(status)} contradicts the outcome")
        return stated if said is None or said.end == "delivered" else said
    if said is not None:
        crashed = said.passed is False and error is not None
        return _ENDED[f"error.{error}"] if crashed else said
    if error is not None:
        return _ENDED[f"error.{error}"]
    return stated if stated is not None and stated.passed else missing


def error_class(text: str) -> str:
    """The sub-class of an outcome that an error's text tells of."""
    lower = text.lower()
    if "timeout" in lower or "timed out" in lower or "deadline" in lower:
        return "timeout"
    return "cancelled" if "cancel" in lower else "crash"


def number(value: Any) -> float | None:
    """A finite number that is not negative; None: the cell is empty.

    Raises:
        ValueError: It is none.
    """
    if is_missing(value):
        return None
    found = None if isinstance(value, bool) else _plain_number(value)
    if found is None and isinstance(value, str) and value.strip()[:1] == "$":
        found = _plain_number(value.strip()[1:])
    if found is None or not math.isfinite(found):
        raise ValueError(f"{_shown(value)} is no number")
    if found < 0:
        raise ValueError(f"{_shown(value)} is negative")
    return found


def count(value: Any) -> int | None:
    """A whole number that is not negative; None: the cell is empty.

    Raises:
        ValueError: It is none.
    """
    found = number(value)
    if found is None:
        return None
    if found != int(found) or found >= 2**63:
        raise ValueError(f"{_shown(value)} is no whole number")
    return int(found)


def moment(value: Any) -> float | None:
    """A time as Unix seconds; None: the cell is empty.

    Numbers are seconds, or milli-, micro- or nanoseconds where they are too large for that.
    Texts are dates and times of ISO 8601, UTC where they have no zone.

    Raises:
        ValueError: It is none.
    """
    if isinstance(value, dt.datetime):
        return _seconds_of(value)
    if isinstance(value, dt.date):
        return _seconds_of(dt.datetime(value.year, value.month, value.day))
    if is_missing(value):
        return None
    found = None if isinstance(value, bool) else _plain_number(value)
    if found is None:
        if not isinstance(value, str):
            raise ValueError(f"{_shown(value)} is no time")
        return _seconds_of(_parsed(value))
    if not math.isfinite(found) or found < 0:
        raise ValueError(f"{_shown(value)} is no time")
    for _ in range(3):
        if found < LATEST:
            break
        found /= 1_000
    return found


LATEST = 1e11
"""Seconds of the year 5138: what is larger was not given in seconds."""


def _parsed(value: str) -> dt.datetime:
    written = value.strip().replace("Z", "+00:00").replace("z", "+00:00").replace(" UTC", "+00:00")
    # Python 3.10 reads fractions of three and of six digits only
    written = _FRACTION.sub(lambda found: "." + found[1][:6].ljust(6, "0"), written, count=1)
    try:
        return dt.datetime.fromisoformat(written)
    except ValueError:
        raise ValueError(f"{_shown(value)} is no time like 2026-11-01T09:30:00Z") from None


def _seconds_of(value: dt.datetime) -> float:
    zoned = value if value.tzinfo is not None else value.replace(tzinfo=dt.timezone.utc)
    found = zoned.timestamp()
    if found < 0:
        raise ValueError(f"{value.isoformat()} is before 1970")
    return found


def name(value: Any) -> str | None:
    """A task, a release and the like as text; None: the cell is empty."""
    if value is None:
        return None
    found = value.strip() if isinstance(value, str) else plain(value)
    return found or None


def plain(value: Any) -> str:
    """A value as text: what is no text, as JSON."""
    if isinstance(value, str):
        return value
    return json.dumps(value, default=str, ensure_ascii=False)


def tags(value: Any) -> tuple[str, ...]:
    """Labels: a list, or a text of which commas or semicolons part them."""
    if is_missing(value):
        return ()
    if isinstance(value, str) and value.lstrip().startswith("["):
        with contextlib.suppress(ValueError):
            value = json.loads(value)
    parts = value if isinstance(value, (list, tuple)) else re.split(r"[,;]", plain(value))
    return tuple(found for part in parts if (found := plain(part).strip()))


def _plain_number(value: Any) -> float | None:
    """A number, or the text of one; NaN and infinities are numbers here."""
    if isinstance(value, (int, float, str)):
        try:
            return float(value)
        except (ValueError, OverflowError):
            return None
    try:  # a decimal, and what other readers of tables have for numbers
        return float(value) if hasattr(value, "__float__") else None
    except (ValueError, TypeError, OverflowError):
        return None


def _word(value: Any) -> str:
    return re.sub(r"[\s\-]+", "_", plain(value).strip().lower())


def _shown(value: Any) -> str:
    said = repr(value)
    return said if len(said) <= 40 else f"{said[:39]}…"


Convert = Callable[[Any], Any]
