"""The truth comes later: `goal=LATER`, `record_outcome`, and a report by tenant.

At the end of a run nobody knows whether the reply helped. A week on, some tickets are reopened.
The label may come from any process; here it comes from this one.
"""

from coord_plugins import LATER, configure, record_outcome, report, run_context, track

configure(store="memory")  # a real one: .coord/outcomes.db, or a PostgreSQL URL

desk = track("desk", goal=LATER, task="ticket")
TENANT = {"T-1": "north", "T-2": "north", "T-3": "south", "T-4": "south", "T-5": "south"}


@desk
def answer(ticket: str) -> str:
    return f"{ticket}: please restart the router"


def show(title: str) -> None:
    found = report(pipeline="desk", by="tenant").only
    rate = found.success_rate
    print(f"{title}: {found.started} runs, {rate.n} labelled, {rate.successes} successes")
    for part in found.parts:
        success = part.success_rate
        print(f"  {part.value}: {success.successes} of {success.n}")


if __name__ == "__main__":
    for ticket, tenant in TENANT.items():
        with run_context(metadata={"tenant": tenant}):
            answer(ticket=ticket)
    show("at once")

    for ticket in ("T-1", "T-2", "T-3", "T-4"):
        record_outcome(task=ticket, pipeline="desk", passed=True, source="closed for a week")
    show("after a week")

    record_outcome(task="T-3", pipeline="desk", passed=False, source="ticket reopened")
    show("after one was reopened")
    print("outcomes:", {k: n for k, n in report(pipeline="desk").only.outcomes.items() if n})
