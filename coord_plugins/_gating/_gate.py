"""`Gate`: is a success rate high enough? Watched trial by trial, with three answers.

It accepts with an e-process, so its guarantee holds whenever one stops looking, and gives up early
with a sequential probability ratio test. Pure: no clock, no I/O.
"""

from __future__ import annotations

import math
from typing import Literal

from ..errors import PolicyError
from ..stats import confidence_sequence, finite_sequence, log_evidence_above
from ._boundary import check_numbers, first, successes_needed

__all__ = ["Gate", "GateVerdict"]

GateVerdict = Literal["accept", "reject", "inconclusive"]
"""What a gate answers; inconclusive is never a pass."""


class Gate:
    """Decide from a sequence of trials whether a success rate lies above `min_success`.

    With S successes and F failures so far:

    - **accept** when E >= 1/alpha, where E is the e-process against "the rate is at most
      min_success" (`coord_plugins.stats.log_evidence_above`). If the rate is at most that, a gate
      that is watched for ever accepts with a probability of at most alpha (Ville's inequality).
    - **reject** when S ln(p1/p0) + F ln((1-p1)/(1-p0)) <= ln(beta), where p0 = min_success and
      p1 = expected: Wald's sequential probability ratio test finds `expected` implausible. If the
      rate is p1, this happens with a probability of at most about beta.
    - **inconclusive** otherwise: at `max_trials`, or when the trials end.

    The first crossing decides: later trials are counted, and the verdict stays. The trials come in
    the order in which they were made and are independent; the accept side needs only that each
    trial's chance, given the past, is at most p0 under the null.

    With `suite=N` the trials are a fixed set of N tasks, each run once, in random order, and the
    question is whether at least ceil(min_success N) of these very tasks succeed. Then
    `finite_sequence` decides: accept when that is certain at level alpha, reject when it is
    impossible at level alpha; after N trials the answer is exact in any order. `expected` and
    `beta` play no part.

    Sources: A. Wald, Ann. Math. Stat. 16 (1945) 117; H. Robbins, Ann. Math. Stat. 41 (1970) 1397
    (mixtures); J. Ville, Étude critique de la notion de collectif (1939).
    """

    def __init__(
        self,
        min_success: float = 0.95,
        expected: float | None = None,
        alpha: float = 0.05,
        beta: float = 0.05,
        max_trials: int | None = None,
        *,
        suite: int | None = None,
    ) -> None:
        """Ask the question.

        Args:
            min_success: The rate that must be exceeded, in (0, 1); for a suite the share of its
                tasks that must succeed, in (0, 1].
            expected: The rate that one hopes for, in (min_success, 1); it buys early rejection
                and never acceptance. Default: 1 - 0.4 (1 - min_success), that is 0.98 for 0.95.
            alpha: The largest chance of accepting a rate of at most `min_success`, in (0, 1).
            beta: About the largest chance of rejecting a rate of `expected`, in (0, 1).
            max_trials: Stop here, inconclusive; None: no end.
            suite: The number of tasks in a fixed suite; None: trials without end.

        Raises:
            PolicyError: Numbers with which there is nothing to decide.
        """
        if expected is None:
            expected = round(1 - 0.4 * (1 - min_success), 12)
        check_numbers(min_success, expected, alpha, beta, max_trials, suite)
        self.min_success = min_success
        """The rate that must be exceeded."""
        self.expected = expected
        """The rate that one hopes for."""
        self.alpha = alpha
        """The largest chance of accepting wrongly."""
        self.beta = beta
        """About the largest chance of rejecting `expected`."""
        self.max_trials = max_trials
        """Where it stops; None: nowhere."""
        self.suite = suite
        """The number of tasks in the fixed suite; None: no suite."""
        self.successes = 0
        """Trials that passed."""
        self.failures = 0
        """Trials that did not."""
        self.decided_at: int | None = None
        """The trial at which it accepted or rejected; None: it has not."""
        self._verdict: GateVerdict = "inconclusive"
        if suite is None:
            self._up = math.log(expected / min_success)
            self._down = math.log((1 - expected) / (1 - min_success))
            self._least = successes_needed(0, min_success, alpha)
            if max_trials is not None and max_trials < self._least:
                raise PolicyError(
                    f"max_trials={max_trials} can never accept min_success={min_success:g}: that "
                    f"takes {self._least} trials without a failure; raise max_trials, or lower "
                    "min_success"
                )

    def __repr__(self) -> str:
        return f"Gate({self.successes}/{self.trials}, {self.verdict})"

    # --- counting ------------------------------------------------------------------------

    def add(self, passed: bool) -> GateVerdict:
        """Count one trial, and look.

        Args:
            passed: Whether it succeeded. What was aborted or has no result did not.

        Returns:
            The verdict so far.

        Raises:
            PolicyError: A suite has no more tasks.
        """
        return self.add_counts(1, 0) if passed else self.add_counts(0, 1)

    def add_counts(self, successes: int, failures: int) -> GateVerdict:
        """Count a batch of trials whose order is not known, and look once, after it.

        Both error rates hold as before; a crossing inside the batch goes unseen.

        Args:
            successes: Trials that passed.
            failures: Trials that did not.

        Returns:
            The verdict so far.

        Raises:
            PolicyError: Negative counts, or more trials than a suite has tasks.
        """
        if successes < 0 or failures < 0:
            raise PolicyError(f"add_counts({successes}, {failures}); counts cannot be negative")
        trials = self.trials + successes + failures
        if self.suite is not None and trials > self.suite:
            raise PolicyError(
                f"the suite has {self.suite} tasks and this is trial {trials}; run each task once, "
                "or drop suite= and ask about trials without end"
            )
        self.successes += successes
        self.failures += failures
        if failures and self.suite is None and self.decided_at is None:
            self._least = successes_needed(self.failures, self.min_success, self.alpha)
        if self.decided_at is None:
            self._look()
        return self._verdict

    def _look(self) -> None:
        if self.suite is not None:
            lowest, highest = self._certain()
            accepted, rejected = lowest >= self.required, highest < self.required
        else:
            accepted = self.successes >= self._least
            rejected = self.log_likelihood_ratio <= math.log(self.beta)
        in_time = self.max_trials is None or self.trials <= self.max_trials
        if in_time and (accepted or rejected):
            self._verdict = "accept" if accepted else "reject"
            self.decided_at = self.trials

    # --- reading -------------------------------------------------------------------------

    @property
    def trials(self) -> int:
        """Trials so far."""
        return self.successes + self.failures

    @property
    def verdict(self) -> GateVerdict:
        """The answer if one stopped now: that of the first crossing, else inconclusive."""
        return self._verdict

    @property
    def decided(self) -> bool:
        """Whether there is nothing left to run: accepted, rejected, or at the last trial."""
        ends = [n for n in (self.max_trials, self.suite) if n is not None]
        return self.decided_at is not None or any(self.trials >= n for n in ends)

    @property
    def interval(self) -> tuple[float, float]:
        """A confidence sequence for the rate at 1 - alpha: it may be read after every trial.

        For a suite the bounds on the share of its tasks that succeed.
        """
        if self.suite is not None:
            lowest, highest = self._certain()
            return lowest / self.suite, highest / self.suite
        return confidence_sequence(self.successes, self.trials, self.alpha)

    @property
    def lower_bound(self) -> float:
        """What the rate lies above at 1 - alpha, whenever one looks; accepts at min_success.

        The one side that the gate bets on: nearer than the lower end of `interval`, which guards
        two sides. It is the largest p with E(p) >= 1/alpha; for a suite both are the same.
        """
        if self.suite is not None:
            return self.interval[0]
        low, high = 0.0, self.successes / max(1, self.trials)
        for _ in range(60 if self.successes else 0):
            middle = (low + high) / 2
            if log_evidence_above(self.successes, self.trials, middle) >= -math.log(self.alpha):
                low = middle
            else:
                high = middle
        return low

    @property
    def log_evidence(self) -> float:
        """Logarithm of E against "the rate is at most min_success"; accepts at ln(1/alpha)."""
        return log_evidence_above(self.successes, self.trials, self.min_success)

    @property
    def evidence(self) -> float:
        """E itself, a bet's pay-off per unit staked; it accepts at 1/alpha. At most 1e300."""
        return math.exp(min(self.log_evidence, math.log(1e300)))

    @property
    def log_likelihood_ratio(self) -> float:
        """Log of the likelihood of `expected` over that of `min_success`; rejects at ln(beta).

        Raises:
            PolicyError: There is none for a suite.
        """
        if self.suite is not None:
            raise PolicyError("a suite is decided by counting; it has no likelihood ratio")
        return self.successes * self._up + self.failures * self._down

    @property
    def required(self) -> int:
        """How many tasks of the suite must succeed: ceil(min_success N).

        Raises:
            PolicyError: There is no suite.
        """
        if self.suite is None:
            raise PolicyError("without a suite no number of successes is required")
        return math.ceil(round(self.min_success * self.suite, 9))

    @property
    def clean_trials_needed(self) -> int | None:
        """How many more trials without a failure would be accepted; 0: none.

        None: not with any number, because the suite has no such tasks left or `max_trials` comes
        before; or because it has rejected.
        """
        if self._verdict != "inconclusive":
            return 0 if self._verdict == "accept" else None
        if self.suite is not None:
            return self._clean_tasks_needed(self.suite)
        needed = self._least - self.successes
        capped = self.max_trials is not None and self.trials + needed > self.max_trials
        return None if capped else needed

    @property
    def trials_needed(self) -> int | None:
        """About how many more trials would decide it if the rate stays as it is; 0: decided.

        None: nothing is known before the first trial. For a suite at most this many.
        """
        if self.decided_at is not None:
            return 0
        if self.suite is not None:
            return self.suite - self.trials
        if not self.trials:
            return None
        rate = self.successes / self.trials
        ways = []
        slope = rate * self._up + (1 - rate) * self._down
        if slope < 0:
            left = math.log(self.beta) - self.log_likelihood_ratio
            ways.append(max(1, math.ceil(left / slope)))
        if rate > self.min_success:
            ways.append(self._until_accepted(rate))
        return min(ways)

    def _until_accepted(self, rate: float) -> int:
        wanted = -math.log(self.alpha)

        def enough(more: int) -> bool:
            successes, trials = self.successes + round(rate * more), self.trials + more
            return log_evidence_above(successes, trials, self.min_success) >= wanted

        return first(enough, 1)

    def _clean_tasks_needed(self, suite: int) -> int | None:
        def enough(more: int) -> bool:
            lowest, _ = finite_sequence(suite, self.successes + more, self.failures, self.alpha)
            return lowest >= self.required

        left = suite - self.trials
        return first(enough, 1, left) if left and enough(left) else None

    def _certain(self) -> tuple[int, int]:
        assert self.suite is not None
        return finite_sequence(self.suite, self.successes, self.failures, self.alpha)
