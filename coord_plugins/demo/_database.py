"""The billing database of the demo: an invented company's customers, invoices and lines.

Everything is generated from fixed seeds, so every machine and every Python version gets the same
rows. Amounts are integer cents of euro; a period is a calendar month such as ``2026-06``; the
invoice of a period is issued on the first day of the month after it.
"""

from __future__ import annotations

import sqlite3
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from coord_plugins.demo._history import MONTHS, PLANS, customer_history

CUSTOMERS = 400
"""How many customers the database has."""

TODAY = "2026-07-06"
"""The day on which the billing desk reads its tickets."""

LINE_KINDS = (
    *("subscription", "addon", "tax"),
    *("annual_renewal", "proration", "credit", "refund", "late_fee"),
)
"""All kinds of invoice lines; the first three are the regular ones."""

REGULAR_KINDS = LINE_KINDS[:3]
"""Kinds of lines that come back every month."""

_ANY = (*LINE_KINDS[3:], "addon", "tax")

CATEGORY_KINDS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "higher_total": _ANY,
        "lower_total": _ANY,
        "unknown_charge": _ANY,
        "renewal": ("annual_renewal",),
        "plan_change": ("proration",),
        "addon": ("addon",),
        "credit": ("credit",),
        "refund": ("refund",),
        "late_fee": ("late_fee",),
        "tax": ("tax",),
    }
)
"""What a ticket can ask about, and the kinds of lines that can answer it."""

_VERSION = 1
_SCHEMA = """
CREATE TABLE plans (id TEXT PRIMARY KEY, name TEXT NOT NULL, seat_cents INTEGER NOT NULL);
CREATE TABLE customers (
    id TEXT PRIMARY KEY, account TEXT NOT NULL UNIQUE, name TEXT NOT NULL,
    email TEXT NOT NULL UNIQUE, since TEXT NOT NULL);
CREATE TABLE subscriptions (
    id INTEGER PRIMARY KEY, customer_id TEXT NOT NULL REFERENCES customers,
    plan_id TEXT NOT NULL REFERENCES plans, seats INTEGER NOT NULL,
    first_period TEXT NOT NULL, last_period TEXT);
CREATE TABLE invoices (
    id TEXT PRIMARY KEY, customer_id TEXT NOT NULL REFERENCES customers,
    period TEXT NOT NULL, issued TEXT NOT NULL, due TEXT NOT NULL,
    total_cents INTEGER NOT NULL, UNIQUE (customer_id, period));
CREATE TABLE invoice_lines (
    id TEXT PRIMARY KEY, invoice_id TEXT NOT NULL REFERENCES invoices,
    kind TEXT NOT NULL, description TEXT NOT NULL, amount_cents INTEGER NOT NULL,
    period TEXT NOT NULL);
CREATE TABLE payments (
    invoice_id TEXT PRIMARY KEY REFERENCES invoices, paid TEXT NOT NULL,
    amount_cents INTEGER NOT NULL);
CREATE INDEX lines_of_invoice ON invoice_lines (invoice_id);
"""

# SQLite runs one statement of a connection at a time anyway. Taking turns here keeps a statement
# and the fetching of its rows together, whatever threading mode SQLite was built with.
_turn = threading.Lock()


def open_billing(path: str = ":memory:") -> sqlite3.Connection:
    """Open the billing database, building it when it is not there yet.

    The connection may be shared between threads: it is read-only once built (``PRAGMA
    query_only``) and the demo reads it through `rows`, which takes turns.

    Args:
        path: File to open or to make; the default keeps the database in memory.

    Raises:
        ValueError: The file is no database, or one of something else or of another version.
        sqlite3.OperationalError: The file cannot be opened or made.
    """
    conn = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
    try:
        if _is_empty(conn, path):
            # Another process that opens the same new file waits here until it is built.
            conn.execute("BEGIN IMMEDIATE")
            if _is_empty(conn, path):
                _build(conn)
            conn.execute("COMMIT")
        conn.execute("PRAGMA query_only = ON")
    except BaseException:
        conn.close()
        raise
    return conn


def _is_empty(conn: sqlite3.Connection, path: str) -> bool:
    """Tell whether the database is still to be built; refuse one that is another's."""
    try:
        (version,) = conn.execute("PRAGMA user_version").fetchone()
        (tables,) = conn.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.DatabaseError as error:
        raise ValueError(f"{path} cannot be read as a database: {error}") from error
    if version == 0 and tables == 0:
        return True
    if version != _VERSION:
        raise ValueError(
            f"{path} is not the demo's billing database of version {_VERSION}: "
            "delete the file or name another one"
        )
    return False


def _build(conn: sqlite3.Connection) -> None:
    """Fill an empty database inside the caller's transaction."""
    for statement in _SCHEMA.split(";"):
        conn.execute(statement)
    conn.executemany(
        "INSERT INTO plans VALUES (?, ?, ?)",
        [(plan.name.lower(), plan.name, plan.seat_cents) for plan in PLANS],
    )
    tables: dict[str, list[tuple[Any, ...]]] = {
        "customers": [],
        "subscriptions": [],
        "invoices": [],
        "invoice_lines": [],
        "payments": [],
    }
    for number in range(1, CUSTOMERS + 1):
        for table, row in customer_history(number):
            tables[table].append(row)
    # Line ids follow the order in which the invoices went out, as a ledger numbers them.
    tables["invoice_lines"].sort(key=lambda row: (row[-1], row[0]))
    tables["invoice_lines"] = [
        (f"L-{n:06d}", *row) for n, row in enumerate(tables["invoice_lines"], start=1)
    ]
    tables["subscriptions"] = [(n, *row) for n, row in enumerate(tables["subscriptions"], start=1)]
    for table, entries in tables.items():
        marks = ", ".join("?" * len(entries[0]))
        conn.executemany(f"INSERT INTO {table} VALUES ({marks})", entries)
    conn.execute(f"PRAGMA user_version = {_VERSION}")


def rows(
    conn: sqlite3.Connection, sql: str, parameters: Sequence[str | int] = ()
) -> list[tuple[Any, ...]]:
    """Return all rows of one parametrised query; safe to call from several threads."""
    with _turn:
        return conn.execute(sql, parameters).fetchall()


def money(cents: int) -> str:
    """Write cents as the desk writes amounts, for example ``84.00``."""
    sign = "-" if cents < 0 else ""
    return f"{sign}{abs(cents) // 100}.{abs(cents) % 100:02d}"


def month_name(period: str) -> str:
    """Write a period in words: ``2026-06`` is ``June 2026``."""
    return f"{MONTHS[int(period[5:]) - 1]} {period[:4]}"


def shift_period(period: str, months: int) -> str:
    """Return the period that many months later, or earlier when negative."""
    count = int(period[:4]) * 12 + int(period[5:]) - 1 + months
    return f"{count // 12}-{count % 12 + 1:02d}"


def usual_total(totals: Sequence[int]) -> int:
    """Return the usual invoice total in cents: the most frequent one, the latest among equals.

    Args:
        totals: Totals of the invoices before, the latest first. Without any it is 0.
    """
    counts = Counter(totals)
    return max(counts, key=lambda total: counts[total]) if counts else 0
