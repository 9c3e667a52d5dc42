"""What happened to each customer of the demo, month by month, and the invoices it led to."""

from __future__ import annotations

import calendar
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, TypeVar

T = TypeVar("T")

PERIODS = tuple(f"{year}-{month:02d}" for year in (2024, 2025) for month in range(1, 13)) + tuple(
    f"2026-{month:02d}" for month in range(1, 7)
)
"""The months that were billed, the earliest first."""


MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
"""English names of the months (those of `calendar` follow the locale)."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A plan that customers subscribe to."""

    name: str
    """Name on the invoice."""
    seat_cents: int
    """Price of one seat for one month, in cents."""


PLANS = (
    Plan(name="Starter", seat_cents=900),
    Plan(name="Team", seat_cents=1500),
    Plan(name="Business", seat_cents=2400),
)
"""The plans, the smallest first."""

_ADDONS = (
    ("Extra storage, 500 GB", 1900),
    ("Phone channel", 2900),
    ("Custom domain", 1200),
    ("Sandbox workspace", 3500),
    ("Translation pack", 2400),
)
_ANNUAL = (
    *("Priority Support", "Priority Support", "Priority Support"),  # sells best
    *("Audit Archive", "Single Sign-On", "Backup Vault"),
)
_OUTAGES = (9, 17, 4, 22, 12, 3, 26, 14, 8, 19, 11, 6)
_FIRST = (
    *("Amberline", "Brackwater", "Copperhill", "Dunmere", "Elmstead", "Fernlow", "Greywick"),
    *("Harrowgate", "Ivybridge", "Juniper Row", "Kestrelby", "Lindenau", "Marlowe Bay"),
    *("Northquay", "Oakhollow", "Pinefold", "Quillmark", "Redfern", "Silverbeck", "Thornfield"),
)
_TRADE = (
    *("Logistics", "Dental", "Bakery", "Analytics", "Outfitters", "Press", "Robotics"),
    *("Gardens", "Freight", "Optics", "Catering", "Studios", "Tiles", "Veterinary"),
    *("Instruments", "Cycles", "Textiles", "Brewing", "Surveying", "Timber"),
)


@dataclass(kw_only=True)
class _Account:
    """A customer while its history is being told; changes from month to month."""

    number: int
    name: str
    plan: int
    seats: int
    tax_percent: int
    annual: tuple[str, int, int] | None
    addons: list[tuple[str, int]] = field(default_factory=list)
    next_plan: int | None = None
    quiet_months: int = 2
    paid_late: int | None = None
    unpaid: tuple[str, date, int] | None = None

    @property
    def id(self) -> str:
        return f"C-{self.number:04d}"

    @property
    def fee(self) -> int:
        return self.seats * PLANS[self.plan].seat_cents


_Line = tuple[str, str, int]  # kind, description, cents


def pick(rng: random.Random, options: Sequence[T]) -> T:
    """Pick one option; built on `random.random`, which no Python version changes."""
    return options[int(rng.random() * len(options))]


def customer_history(number: int) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Yield (table, row) for everything the database holds of one customer.

    Args:
        number: 1 to 400; also the seed of everything that happens to the customer.
    """
    rng = random.Random(f"billing {number}")
    first = int(rng.random() * 16)
    account = _open_account(number, rng)
    slug = account.name.lower().replace(" ", "-")
    # 7919 is prime to 599999, so no two customers get the same six digits.
    code = 400_000 + number * 7919 * 31 % 599_999
    yield (
        "customers",
        (account.id, str(code), account.name, f"accounts@{slug}.example", PERIODS[first]),
    )
    since = PERIODS[first]
    for index in range(first, len(PERIODS)):
        period = PERIODS[index]
        if account.next_plan is not None:
            yield "subscriptions", _subscription(account, since, PERIODS[index - 1])
            account.plan, account.next_plan, since = account.next_plan, None, period
        lines = _month_lines(account, period, rng, is_first=index == first)
        yield from _payment(account, rng)
        yield from _invoice(account, period, lines)
    yield "subscriptions", _subscription(account, since, None)


def _open_account(number: int, rng: random.Random) -> _Account:
    name = f"{_FIRST[(number - 1) % len(_FIRST)]} {_TRADE[(number - 1) // len(_FIRST)]}"
    account = _Account(
        number=number,
        name=name,
        plan=pick(rng, (0, 1, 1, 2)),
        seats=6 + int(rng.random() ** 2 * 40),
        tax_percent=pick(rng, (0, 0, 0, 19, 20)),
        annual=None,
    )
    if rng.random() < 0.6:
        product = pick(rng, _ANNUAL)
        # Priority Support costs one more monthly fee a year; the others have list prices.
        cents = account.fee if product == "Priority Support" else 18_000 + 60 * account.seats * 10
        account.annual = (product, cents, 1 + int(rng.random() * 12))
    if rng.random() < 0.3:
        account.addons.append(pick(rng, _ADDONS))
    return account


def _subscription(account: _Account, first: str, last: str | None) -> tuple[Any, ...]:
    return (account.id, PLANS[account.plan].name.lower(), account.seats, first, last)


def _month_lines(
    account: _Account, period: str, rng: random.Random, *, is_first: bool
) -> list[_Line]:
    """Return the month's lines: the regular ones and at most one event."""
    plan = PLANS[account.plan]
    lines: list[_Line] = [("subscription", f"{plan.name} plan, {account.seats} seats", account.fee)]
    event: _Line | None = None
    roll = rng.random()
    if not is_first:
        if account.annual and account.annual[2] == int(period[5:]):
            event = ("annual_renewal", f"Annual renewal of {account.annual[0]}", account.annual[1])
        elif account.quiet_months >= 2 and roll < 0.3:
            event = _event(account, period, rng)
    account.quiet_months = account.quiet_months + 1 if event is None else 0
    lines += [("addon", name, cents) for name, cents in account.addons]
    if event and event[0] not in ("addon", "tax"):
        lines.append(event)
    if account.tax_percent:
        net = sum(cents for _, _, cents in lines)
        tax = (net * account.tax_percent + 50) // 100
        lines.append(("tax", f"VAT {account.tax_percent} %", tax))
    return lines


def _event(account: _Account, period: str, rng: random.Random) -> _Line | None:
    """Let one thing happen that shows on this month's invoice; None when it does not apply."""
    kind = pick(rng, ("proration", "addon", "credit", "refund", "late_fee", "tax"))
    if kind == "proration":
        return _plan_change(account, period, rng)
    if kind == "credit":
        month = (int(period[5:]) - 2) % 12
        day = f"{_OUTAGES[month]} {MONTHS[month]}"
        share = pick(rng, (10, 15, 20, 25))
        return (kind, f"Service credit for the outage of {day}", -(account.fee * share // 100))
    if kind == "refund":
        seats = 1 + int(rng.random() * 3)
        plural = "s" if seats > 1 else ""
        cents = -seats * PLANS[account.plan].seat_cents
        return (kind, f"Refund for {seats} unused seat{plural}", cents)
    if kind == "late_fee":
        days = 4 + int(rng.random() * 11)  # all before the next invoice goes out
        account.paid_late = days
        return (kind, f"Late fee, the invoice before was paid {days} days late", 1000 + 50 * days)
    if kind == "addon":
        had = {name for name, _ in account.addons}
        new = [addon for addon in _ADDONS if addon[0] not in had]
        if not new:
            return None
        name, cents = pick(rng, new)
        account.addons.append((name, cents))
        return (kind, name, cents)
    if account.tax_percent:
        return None
    account.tax_percent = pick(rng, (19, 20))
    return (kind, "", 0)  # the tax line itself is worked out with the month's other lines


def _plan_change(account: _Account, period: str, rng: random.Random) -> _Line:
    """Move to the next plan up or down in the middle of the month."""
    up = account.plan == 0 or (account.plan == 1 and rng.random() < 0.5)
    account.next_plan = account.plan + (1 if up else -1)
    old, new = PLANS[account.plan], PLANS[account.next_plan]
    year, month = int(period[:4]), int(period[5:])
    days = calendar.monthrange(year, month)[1]
    day = 5 + int(rng.random() * 20)
    left = days - day + 1
    cents = (new.seat_cents - old.seat_cents) * account.seats * left // days
    word = "Upgrade" if up else "Downgrade"
    when = f"{day} {MONTHS[month - 1]}"
    return ("proration", f"{word} from {old.name} to {new.name} on {when}, {left} days", cents)


def _payment(account: _Account, rng: random.Random) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Pay the invoice before; this month's late fee says how late that was."""
    early = int(rng.random() * 10)
    if account.unpaid is not None:
        invoice, due, total = account.unpaid
        days = -early if account.paid_late is None else account.paid_late
        yield "payments", (invoice, str(due + timedelta(days=days)), total)
    account.paid_late = None


def _invoice(
    account: _Account, period: str, lines: list[_Line]
) -> Iterator[tuple[str, tuple[Any, ...]]]:
    year, month = int(period[:4]), int(period[5:])
    issued = date(year + month // 12, month % 12 + 1, 1)
    due = issued + timedelta(days=14)
    invoice = f"INV-{year}{month:02d}-{account.number:04d}"
    total = sum(cents for _, _, cents in lines)
    yield "invoices", (invoice, account.id, period, str(issued), str(due), total)
    for kind, description, cents in lines:
        yield "invoice_lines", (invoice, kind, description, cents, period)
    account.unpaid = (invoice, due, total)
