"""Outcomes that another tool measured: import two files, look at trials, compare, price.

An evaluation wrote a CSV per model: 40 tasks, five trials each, a reward and a cost. Nothing ran
through this library. The figures are the same as for runs that did.
"""

import csv
import random
from pathlib import Path
from tempfile import TemporaryDirectory

from coord_plugins import Value, compare, import_runs, report

rand = random.Random(11)


def evaluation(path: Path, skill: float, cost: float) -> None:
    """Write what an evaluation would; some tasks are hard for every model."""
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["task_id", "trial", "reward", "cost_usd"])
        for task in range(40):
            chance = skill if task % 4 else skill / 3
            for trial in range(5):
                rows.writerow([f"T-{task}", trial, int(rand.random() < chance), cost])


if __name__ == "__main__":
    with TemporaryDirectory() as folder:
        small, large = Path(folder, "small.csv"), Path(folder, "large.csv")
        evaluation(small, 0.75, 0.002)
        evaluation(large, 0.95, 0.010)
        store = Path(folder, "runs.db")
        for file in (small, large, large):  # the second time nothing changes
            done = import_runs(file, store)
            print(f"{file.name}: {done.new} new, {done.unchanged} unchanged, {done.bad_rows} bad")

        value = Value(success=0.25, silent_cost=0.50)
        for group in report(store, value=value).groups:
            rate, trials, worth = group.success_rate, group.trials, group.worth
            low, high = (100 * end for end in rate.interval)
            print(f"{group.pipeline}: {100 * rate.value:.1f} % [{low:.1f}, {high:.1f}]")
            print(f"  pass@5 {trials.pass_at_k[5]:.3f}, pass^5 {trials.pass_hat_k[5]:.3f}")
            print(f"  worth ${worth.per_run:+.3f} a run")
        print(compare("pipeline=small", "pipeline=large", store=store, value=value).answer)
