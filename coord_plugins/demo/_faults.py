"""How the simulated model goes wrong: a plan that depends on nothing but its key."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import blake2b

FAULT_RATE = 0.03
"""Share of a step's executions that go wrong."""

FAULT_SHARES: Mapping[str, float] = {
    "rate_limit": 1 / 6,
    "timeout": 1 / 6,
    "malformed": 1 / 6,
    "content": 1 / 2,
}
"""How the faults divide: three ways to give no usable reply, and replies with wrong content."""

STICKY_SHARE = 1 / 2
"""Share of content faults that recur until feedback names them."""

CONTENT_FAULTS: Mapping[str, tuple[str, ...]] = {
    "triage": ("other_month", "other_account", "wrong_category"),
    "retrieve": ("other_month", "other_account", "kind_left_out"),
    "reconcile": ("other_month", "invented_line", "wrong_sum", "other_line"),
    "draft": ("other_month", "invented_line", "wrong_sum"),
    "review": ("other_month", "invented_line", "wrong_sum"),
    "send": ("other_month", "invented_line", "wrong_sum", "other_recipient"),
}
"""The content faults of each step, equally likely."""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One way in which one execution of a step goes wrong."""

    step: str
    """The step that goes wrong."""
    kind: str
    """``rate_limit``, ``timeout``, ``malformed`` or one of the step's `CONTENT_FAULTS`."""
    sticky: bool = False
    """Whether it recurs on every repeat until feedback names it; content faults only."""
    roll: float = 0.0
    """Between 0 and 1: settles the details, such as which wrong amount it is."""

    @property
    def is_content(self) -> bool:
        """Whether the reply is well-formed and its content wrong."""
        return self.kind in CONTENT_FAULTS.get(self.step, ())


Plan = Callable[[int, str, int, str, int], "Fault | None"]
"""Says how an execution goes wrong, from seed, ticket id, trial, step and n."""


def planned_fault(
    seed: int,
    ticket_id: str,
    trial: int,
    step: str,
    n: int,
    *,
    fault_rate: float = FAULT_RATE,
) -> Fault | None:
    """Say whether and how one execution of a step goes wrong.

    A pure function: the draws are bytes of a hash of the arguments.

    Args:
        seed: Seed of the whole simulation.
        ticket_id: The ticket.
        trial: Number of the run of that ticket, from 0.
        step: The step, one of `STEPS`; or the name of a call that does several of them, which
            has no content faults of its own.
        n: Number of the execution of that step in the run, failed ones included, from 1.
        fault_rate: Share of executions that go wrong.

    Returns:
        The fault, or None for an execution that goes right.
    """
    key = "\x1f".join((str(seed), ticket_id, str(trial), step, str(n)))
    digest = blake2b(key.encode(), digest_size=40).digest()
    # 53 bits are what a float holds; all draws are below 1.
    goes_wrong, which, kind, sticky, roll = (
        (int.from_bytes(digest[at : at + 8], "big") >> 11) / 2**53 for at in range(0, 40, 8)
    )
    if goes_wrong >= fault_rate:
        return None
    for name, share in FAULT_SHARES.items():
        which -= share
        if which < 0 and name != "content":
            return Fault(step=step, kind=name, roll=roll)
    kinds = CONTENT_FAULTS.get(step)
    if kinds is None:
        return None
    return Fault(
        step=step, kind=kinds[int(kind * len(kinds))], sticky=sticky < STICKY_SHARE, roll=roll
    )
