"""The billing database and the tickets: realistic, unambiguous, the same everywhere."""

from __future__ import annotations

import hashlib
import sqlite3
import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from coord_plugins.demo import CATEGORY_KINDS, LINE_KINDS, load_tickets, open_billing
from coord_plugins.demo._database import month_name, shift_period, usual_total
from coord_plugins.demo._words import account_in, period_in, speaks_of

DATABASE_DIGEST = "af33836cf3aa9d31fd90e8989d5538024f58b8715f88b40cf675b231f9f3c901"
TICKETS_DIGEST = "70931605fd233c97ea9d4792a8728b00afd5c0229c417bd6c769d44c206be82b"


def digest_of_database(conn: sqlite3.Connection) -> str:
    dump = hashlib.sha256()
    for table in ("plans", "customers", "subscriptions", "invoices", "invoice_lines", "payments"):
        for row in conn.execute(f"SELECT * FROM {table} ORDER BY 1"):
            dump.update(repr(row).encode())
    return dump.hexdigest()


def test_database_is_the_same_everywhere(desk: Any) -> None:
    assert digest_of_database(desk.conn) == DATABASE_DIGEST


def test_tickets_and_answers_are_the_same_everywhere(desk: Any) -> None:
    content = hashlib.sha256()
    for ticket in desk.tickets:
        answer = desk.answers[ticket.id]
        content.update(repr((ticket, sorted(answer.line_ids), answer.line_id)).encode())
    assert content.hexdigest() == TICKETS_DIGEST
    assert load_tickets(desk.conn) == (desk.tickets, desk.answers)


def test_opening_is_fast() -> None:
    seconds = []
    for _ in range(3):
        begin = time.perf_counter()
        open_billing().close()
        seconds.append(time.perf_counter() - begin)
    assert min(seconds) < 0.5


def test_a_file_is_built_once_and_then_opened(tmp_path: Path) -> None:
    path = str(tmp_path / "billing.db")
    with closing(open_billing(path)) as first, closing(open_billing(path)) as second:
        assert digest_of_database(first) == digest_of_database(second) == DATABASE_DIGEST


def test_a_foreign_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE things (id)")
    other.commit()
    other.close()
    with pytest.raises(ValueError, match=r"other\.db is not the demo's billing database"):
        open_billing(str(path))
    text = tmp_path / "notes.txt"
    text.write_text("no database at all, " * 50)
    with pytest.raises(ValueError, match=r"notes\.txt cannot be read as a database"):
        open_billing(str(text))


def test_the_connection_is_read_only(desk: Any) -> None:
    with pytest.raises(sqlite3.OperationalError):
        desk.conn.execute("DELETE FROM invoices")


def test_the_books_add_up(desk: Any) -> None:
    (wrong,) = desk.conn.execute(
        "SELECT count(*) FROM invoices i WHERE total_cents <>"
        " (SELECT sum(amount_cents) FROM invoice_lines l WHERE l.invoice_id = i.id)"
    ).fetchone()
    assert wrong == 0
    (customers, accounts) = desk.conn.execute(
        "SELECT count(*), count(DISTINCT account) FROM customers WHERE length(account) = 6"
    ).fetchone()
    assert customers == accounts == 400
    (first, last) = desk.conn.execute("SELECT min(period), max(period) FROM invoices").fetchone()
    assert (first, last) == ("2024-01", "2026-06")
    kinds = {kind for (kind,) in desk.conn.execute("SELECT DISTINCT kind FROM invoice_lines")}
    assert kinds == set(LINE_KINDS)


def test_a_late_fee_follows_a_late_payment(desk: Any) -> None:
    (fees,) = desk.conn.execute(
        "SELECT count(*) FROM invoice_lines WHERE kind = 'late_fee'"
    ).fetchone()
    (late,) = desk.conn.execute(
        "SELECT count(*) FROM payments p JOIN invoices i ON i.id = p.invoice_id WHERE paid > due"
    ).fetchone()
    assert fees == late > 100


def test_there_are_many_different_tickets(desk: Any) -> None:
    assert len(desk.tickets) == len(desk.answers) == 240
    assert len({ticket.text for ticket in desk.tickets}) == 240
    answers = desk.answers.values()
    assert set(Counter(answer.category for answer in answers)) == set(CATEGORY_KINDS)
    assert min(Counter(answer.kind for answer in answers).values()) >= 20


def test_a_ticket_holds_nothing_of_its_answer(desk: Any) -> None:
    for ticket in desk.tickets:
        answer = desk.answers[ticket.id]
        assert answer.line_id not in ticket.text
        assert answer.customer_id not in ticket.text
        assert answer.email not in ticket.text


def test_one_line_alone_explains_the_amount(desk: Any) -> None:
    """Recomputed in SQL: the only line that is new is the answer's, and of its kind."""
    new_lines = (
        "SELECT l.id, l.kind, l.amount_cents FROM invoice_lines l"
        " JOIN invoices i ON i.id = l.invoice_id WHERE i.customer_id = ? AND i.period = ?"
        " AND NOT EXISTS (SELECT 1 FROM invoice_lines m JOIN invoices j ON j.id = m.invoice_id"
        " WHERE j.customer_id = i.customer_id AND j.period = ?"
        " AND m.kind = l.kind AND m.description = l.description)"
    )
    for answer in desk.answers.values():
        before = shift_period(answer.period, -1)
        found = desk.conn.execute(new_lines, (answer.customer_id, answer.period, before))
        assert found.fetchall() == [(answer.line_id, answer.kind, answer.amount_cents)]
        assert answer.kind in CATEGORY_KINDS[answer.category]
        assert answer.total_cents > 0
        assert (answer.total_cents - answer.usual_cents) * answer.amount_cents > 0


def test_patterns_read_the_words_rightly_or_stay_silent(desk: Any) -> None:
    silent = 0
    for ticket in desk.tickets:
        answer = desk.answers[ticket.id]
        period = period_in(ticket.text)
        assert period in (answer.period, None), ticket
        silent += period is None
        assert account_in(ticket.text) == answer.account, ticket
        assert speaks_of(answer.category, ticket.text), ticket
    assert 10 <= silent <= 40  # tickets that say when the bill came


def test_periods_and_amounts() -> None:
    assert shift_period("2026-01", -1) == "2025-12"
    assert shift_period("2025-12", 1) == "2026-01"
    assert month_name("2026-06") == "June 2026"
    assert usual_total([3, 2, 2, 1]) == 2
    assert usual_total([3, 2, 3, 2]) == 3
    assert usual_total([]) == 0
