"""Plain Python: decorated functions inside `track` are a run like any other.

A nightly report: fetch the figures, write a summary, check it. One source times out, one
summary leaves the total out, one night nothing can be mended.
"""

from coord_plugins import AttemptsExhaustedError, check, retrying, track, validated

FIGURES = {"mon": [20, 22], "tue": [30, 1], "wed": [7, 7, 7], "thu": [5]}
fetches: dict[str, int] = {}


@retrying(max_attempts=3, initial_interval=0.01)
def fetch(day: str) -> list[int]:
    fetches[day] = fetches.get(day, 0) + 1
    if day == "tue" and fetches[day] == 1:
        raise ConnectionError("the warehouse hung up")
    return FIGURES[day]


def names_a_total(text: str) -> bool:
    return "total" in text


@validated(check(names_a_total, feedback="say what the total is"))
def summarise(day: str, figures: list[int], feedback: str | None = None) -> str:
    forgets = day == "thu" or (day == "wed" and feedback is None)
    return f"{day}: " + ("busy" if forgets else f"total {sum(figures)}")


def total_is_right(text: str, inputs: str) -> bool:
    return text.endswith(f"total {sum(FIGURES[inputs])}")


nightly = track("nightly-report", goal=total_is_right)


@nightly
def report_of(day: str) -> str:
    return summarise(day, fetch(day))


if __name__ == "__main__":
    for day in FIGURES:
        try:
            text = report_of(day)
        except AttemptsExhaustedError as error:
            text = f"no report ({error.attempts} attempts rejected)"
        print(f"{text:<40} {nightly.coord.last.outcome}")

    found = nightly.coord.summary().only
    rate = found.success_rate
    print(f"{found.success} of {found.finished} reports were right: {rate.value:.0%}")
    print(f"95 % interval: {rate.interval[0]:.1%} to {rate.interval[1]:.1%}")
    print(f"product of the steps' first tries: {found.naive_step_product:.1%}")
