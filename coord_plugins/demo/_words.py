"""What patterns can read in plain words: a ticket's account, month and subject, a reply's facts.

They are meant for judging, so they stay silent where the words are not plain to a pattern.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from coord_plugins.demo._database import CATEGORY_KINDS, TODAY, shift_period
from coord_plugins.demo._history import MONTHS

LINE_ID = re.compile(r"\bL-\d{6}\b")
"""A line's id in a text."""

AMOUNT = re.compile(r"(?<![\d.,])\d+(?:,\d{3})*\.\d\d(?![\d.]*\d)")
"""An amount in a text, without its sign."""

_ACCOUNT = re.compile(r"\b[4-9]\d[- ]?\d\d[- ]?\d\d\b")
# The day on which a bill came says nothing plain about its month: silence is better than a guess.
_ARRIVAL = re.compile(r"\b(?:start|beginning|first|end|middle) of\b", re.IGNORECASE)
_LAST = re.compile(r"\blast month's\b", re.IGNORECASE)
_NUMBERED = re.compile(r"\b(?:(0[1-9]|1[0-2])/(20\d\d)|(20\d\d)-(0[1-9]|1[0-2]))\b")
_BILL = r"(?:bill|invoice|invocie|statement|statment)"
_NAME = "|".join(f"{month[:3]}(?:{month[3:]})?" for month in MONTHS)
_NAMED = re.compile(
    rf"\b{_BILL} for ({_NAME})\b(?: (20\d\d))?|\b({_NAME})(?: (20\d\d))? {_BILL}\b", re.IGNORECASE
)

_SPEAKS: Mapping[str, re.Pattern[str]] = {
    name: re.compile(words, re.IGNORECASE)
    for name, words in {
        "renewal": r"\brenew|\byear|\bannual",
        "plan_change": r"\bplans?\b|\bprorat|\bswitch",
        "addon": r"\badd-on|\bextra|\bbooked\b",
        "credit": r"\bcredit|\bcompensation|\boutage|\bdown",
        "refund": r"\brefund|\bmoney back|\bseats\b",
        "late_fee": r"\blate\b|\boverdue|\bpenalty",
        "tax": r"\btax|\bvat\b|\bexempt",
    }.items()
}


# The checks of all six steps read the same few hundred tickets again and again.
@lru_cache(maxsize=1024)
def account_in(text: str) -> str | None:
    """Return the account's six digits; None unless the text has exactly one such number."""
    found = {re.sub(r"\D", "", number) for number in _ACCOUNT.findall(text)}
    return found.pop() if len(found) == 1 else None


@lru_cache(maxsize=1024)
def period_in(text: str) -> str | None:
    """Return the month of the invoice that the text names; None when it is not plain."""
    if _ARRIVAL.search(text):
        return None
    found = set()
    for month, year, iso_year, iso_month in _NUMBERED.findall(text):
        found.add(f"{year or iso_year}-{month or iso_month}")
    for after, after_year, before, before_year in _NAMED.findall(text):
        found.add(_named(after or before, after_year or before_year))
    if _LAST.search(text):
        found.add(shift_period(TODAY[:7], -1))
    return found.pop() if len(found) == 1 else None


def _named(month: str, year: str) -> str:
    """Return the period of a month's name; without a year the latest one that was billed."""
    number = next(n for n, name in enumerate(MONTHS, start=1) if name[:3] == month[:3].title())
    period = f"{year or TODAY[:4]}-{number:02d}"
    return period if year or period < TODAY[:7] else shift_period(period, -12)


def speaks_of(category: str, text: str) -> bool:
    """Tell whether the text may be about a category; the broad ones fit any text."""
    words = _SPEAKS.get(category)
    return category in CATEGORY_KINDS and (words is None or words.search(text) is not None)


def cents_in(text: str) -> list[int]:
    """Return the amounts in a text in cents, without their signs, in order."""
    return [int(re.sub(r"\D", "", amount)) for amount in AMOUNT.findall(text)]
