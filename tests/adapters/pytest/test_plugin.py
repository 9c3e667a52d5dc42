"""The pytest plug-in, in sessions of its own: trials, fixtures, verdicts, what pytest is told."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree as ET

import pytest

ROOT = Path(__file__).parents[3]


class Case(NamedTuple):
    outcome: str
    found: dict[str, str]
    text: str


class Session(NamedTuple):
    code: int
    out: str
    cases: dict[str, Case]


def session(folder, source, *arguments, plugins=(), stdin="", **env):
    """Run pytest on a file in a process of its own, with no plug-in but ours and the named."""
    (folder / "test_it.py").write_text(textwrap.dedent(source))
    (folder / "pytest.ini").touch()
    given = {k: v for k, v in os.environ.items() if not k.startswith(("COORD_", "PYTEST_"))}
    given |= {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "COLUMNS": "200", **env}
    given["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    chosen = [f"-p{name}" for name in ("coord_pytest", "no:cacheprovider", *plugins)]
    command = [sys.executable, "-m", "pytest", *chosen, "-Werror", "--junitxml=junit.xml"]
    command += ["-ojunit_family=xunit1"]  # the newer one has no place for properties
    done = subprocess.run(
        [*command, *arguments], cwd=folder, env=given, input=stdin, capture_output=True, text=True
    )
    cases = {}
    if (folder / "junit.xml").exists():
        for case in ET.parse(folder / "junit.xml").iter("testcase"):
            found = {p.get("name"): p.get("value") for p in case.iter("property")}
            assert len(found) == len(list(case.iter("property")))
            ends = [e for e in case if e.tag in ("failure", "error", "skipped")]
            outcome = ends[0].tag if ends else "passed"
            text = "".join(f"{e.get('message')}\n{e.text}" for e in ends)
            found = {k.removeprefix("reliability_"): v for k, v in found.items()}
            cases[case.get("name")] = Case(outcome, found, text)
    return Session(done.returncode, done.stdout + done.stderr, cases)


SUITE = """
    import os
    import random
    import unittest

    import pytest
    from coord_plugins import check, current_run, track, validated

    reliable = pytest.mark.reliability
    rand = random.Random(3)
    made = []


    @pytest.fixture
    def fresh():
        made.append("up")
        yield len(made)
        made.append("down")


    @pytest.fixture(scope="module")
    def shared():
        seen = []
        yield seen
        assert len(set(seen)) == 43


    @reliable(min_success=0.9)
    def test_fixtures_are_set_up_anew(fresh, shared, tmp_path):
        assert made.count("up") == made.count("down") + 1
        shared.append(tmp_path)


    @reliable
    def test_bad():
        print("said by the model")
        draw = rand.random()
        assert draw < 0.7


    @reliable(max_trials=100)
    def test_undecided():
        made.append(None)
        assert made.count(None) % 25


    @reliable
    def test_errors():
        made.append(0)
        if made.count(0) % 2:
            raise ValueError("no network")


    @reliable(min_success=0.5)
    @pytest.mark.parametrize("n", [1, 2])
    class TestClass:
        def test_has_a_new_instance(self, n):
            assert not hasattr(self, "used")
            self.used = True


    @reliable(min_success=0.5)
    class TestCase(unittest.TestCase):
        classes = setups = calls = 0

        @classmethod
        def setUpClass(cls):
            cls.classes += 1

        def setUp(self):
            type(self).setups += 1

        def test_unittest(self):
            type(self).calls += 1
            self.assertEqual((self.classes, self.setups), (1, self.calls))
            self.assertNotEqual(self.calls, 3)


    @reliable
    class TestSkipped(unittest.TestCase):
        def test_skipped(self):
            self.skipTest("not here")


    @reliable
    def test_skipped_at_once():
        pytest.skip("no key")


    @reliable
    def test_skipped_later():
        made.append("s")
        if made.count("s") == 4:
            pytest.skip("quota is spent")


    @reliable
    @pytest.mark.xfail(reason="known")
    def test_expected_to_fail():
        assert rand.random() < 0.5


    @reliable
    @pytest.mark.xfail(run=False, reason="not now")
    def test_not_run():
        made.append("never")


    @pytest.fixture
    def broken():
        assert not made, "no database"


    @reliable
    def test_broken_fixture(broken):
        pass


    @pytest.fixture
    def lost():
        yield
        raise OSError("lost at the end")


    @pytest.fixture(scope="class")
    def below():
        yield
        made.append("below is down")


    class TestTeardown:
        @reliable
        def test_broken_teardown(self, below, lost):
            assert "below is down" not in made


    def test_what_is_shared_was_torn_down():
        assert "below is down" in made
        assert "never" not in made
        assert "COORD_STORE" not in os.environ


    @reliable(max_trials=20)
    def test_never_enough():
        pass


    @reliable(max_trial=20)
    def test_misspelled():
        pass


    @validated(check(lambda out: True, name="fine"))
    def step():
        current_run().add_usage(model="small", input_tokens=2_000, output_tokens=500)
        return "done"


    @reliable(min_success=0.5)
    def test_records(record_property):
        record_property("own", len(made))
        with track("pipe", goal=lambda output: True, prices={"small": (1.0, 4.0)}):
            step()
            with track("part of it"):
                pass
            assert os.environ["COORD_STORE"] == "memory"


    def test_ordinary():
        pass
"""


@pytest.fixture(scope="module")
def suite(tmp_path_factory):
    return session(tmp_path_factory.mktemp("suite"), SUITE, "-rA")


def counts(case):
    return tuple(int(case.found[k]) for k in ("trials", "successes", "failures", "errors"))


def test_accepted_passes_with_fixtures_set_up_anew(suite):
    case = suite.cases["test_fixtures_are_set_up_anew"]
    assert (case.outcome, case.found["verdict"], counts(case)) == (
        "passed",
        "accept",
        (43, 43, 0, 0),
    )
    assert float(case.found["low"]) == pytest.approx(0.854, abs=1e-3)
    assert case.found["high"] == "1.0"
    assert float(case.found["evidence"]) >= 20


def test_rejected_fails_and_shows_the_first_failure(suite):
    case = suite.cases["test_bad"]
    assert (case.outcome, case.found["verdict"], counts(case)) == (
        "failure",
        "reject",
        (18, 14, 4, 0),
    )
    assert case.text.startswith(
        "Failed: rejected: 14 of 18 trials passed (4 failures): above 45.9 % (asked: 95 %) and in"
    )
    assert "first failure: trial 8" in suite.out
    assert "assert 0.83746908209646 < 0.7" in suite.out
    assert suite.out.splitlines().count("said by the model") == 1  # by the first failure


def test_inconclusive_is_no_pass(suite):
    case = suite.cases["test_undecided"]
    assert (case.outcome, case.found["verdict"]) == ("failure", "inconclusive")
    assert counts(case) == (100, 96, 4, 0)
    assert " at 95 %; max_trials=100 is reached; " in case.text
    assert re.search(r"\d+ more without a failure would accept, about \d+ more decide", case.text)


def test_errors_count_against_it_and_apart(suite):
    case = suite.cases["test_errors"]
    assert (case.outcome, counts(case)) == ("failure", (7, 3, 0, 4))
    assert "first error: trial 1" in suite.out
    assert "ValueError: no network" in suite.out


@pytest.mark.parametrize(
    "name", ["test_has_a_new_instance[1]", "test_has_a_new_instance[2]", "test_unittest"]
)
def test_classes_have_a_new_instance_for_every_trial(suite, name):
    case = suite.cases[name]
    assert case.outcome == "passed", case.text
    assert counts(case) == ((11, 10, 1, 0) if name == "test_unittest" else (7, 7, 0, 0))


def test_a_skip_skips_the_test(suite):
    assert suite.cases["test_skipped"].outcome == "skipped"
    assert suite.cases["test_skipped_at_once"][:2] == ("skipped", {})
    later = suite.cases["test_skipped_later"]
    assert (later.outcome, later.found["verdict"]) == ("skipped", "inconclusive")
    assert (counts(later)[0], later.found["note"]) == (3, "trial 4 was skipped or interrupted")


def test_expected_failures_stay_expected(suite):
    assert suite.cases["test_expected_to_fail"].outcome == "skipped"
    assert suite.cases["test_expected_to_fail"].found["verdict"] == "reject"
    assert "XFAIL test_it.py::test_expected_to_fail - known" in suite.out
    assert suite.cases["test_not_run"].found == {}


def test_a_fixture_that_never_works_is_an_error(suite):
    case = suite.cases["test_broken_fixture"]
    assert (case.outcome, counts(case)) == ("error", (4, 0, 0, 4))
    assert "ERROR at setup of test_broken_fixture" in suite.out
    assert "rejected: 0 of 4 trials passed (4 errors)" in suite.out


def test_a_teardown_that_raises_is_an_error_of_its_trial(suite):
    case = suite.cases["test_broken_teardown"]
    assert (case.outcome, counts(case)) == ("failure", (4, 0, 0, 4))
    assert "OSError: lost at the end" in suite.out
    assert suite.cases["test_what_is_shared_was_torn_down"].outcome == "passed"


def test_a_wrong_mark_is_an_error_of_its_test(suite):
    never, wrong = suite.cases["test_never_enough"], suite.cases["test_misspelled"]
    assert never.outcome == wrong.outcome == "error"
    assert "reliability: max_trials=20 can never accept min_success=0.95" in never.text
    assert "takes min_success, expected, max_trials, alpha and beta; it got an un" in wrong.text


def test_runs_of_the_trials_are_kept_in_memory_and_counted(suite):
    case = suite.cases["test_records"]
    assert (case.outcome, case.found["runs"], case.found["tokens"]) == ("passed", "7", "17500")
    assert float(case.found["cost_usd"]) == pytest.approx(7 * 0.004)
    assert case.found["own"]  # as the last trial recorded it, once
    assert suite.cases["test_ordinary"] == ("passed", {}, "")


def test_the_summary_says_what_was_found(suite):
    assert suite.code == 1
    summary = suite.out.partition("= reliability =")[2]
    assert (
        "accepted  test_it.py::test_fixtures_are_set_up_anew\n    43 of 43 trials passed" in summary
    )
    assert (
        "rejected  test_it.py::test_bad\n    14 of 18 trials passed (4 failures): above" in summary
    )
    assert (
        "43 of 43 trials passed: above 90.1 % (asked: 90 %) and in [85.4, 100] at 95 %\n" in summary
    )
    assert (
        "7 of 7 trials passed: above 54.1 % (asked: 50 %) and in [48.4, 100] at 95 %; $0.028, "
        "17,500 tokens\n" in summary
    )


FEW = """
    import pytest

    calls = []


    @pytest.mark.reliability
    def test_bad():
        calls.append(1)
        assert len(calls) % 3


    @pytest.mark.reliability(min_success=0.8)
    def test_good():
        pass
"""


def outcomes(found):
    return {name: case.outcome for name, case in found.cases.items()}


def test_off_runs_each_test_once(tmp_path):
    for arguments, env in ((["--no-reliability"], {}), ([], {"COORD_MODE": "off"})):
        found = session(tmp_path, FEW, *arguments, **env)
        assert (found.code, outcomes(found)) == (0, {"test_bad": "passed", "test_good": "passed"})
        assert found.cases["test_bad"].found == {}
        assert "= reliability =" not in found.out


def test_observed_never_fails_and_never_passes_what_is_not_accepted(tmp_path):
    found = session(tmp_path, FEW, "-rx", COORD_MODE="observe")
    assert (found.code, outcomes(found)) == (0, {"test_bad": "skipped", "test_good": "passed"})
    assert re.search("XFAIL test_it.py::test_bad - .*observed only: rejected: 8 of 12", found.out)
    assert "rejected (observed)  test_it.py::test_bad" in found.out


def test_a_mode_that_does_not_exist_is_an_error(tmp_path):
    found = session(tmp_path, FEW, COORD_MODE="sometimes")
    assert outcomes(found) == {"test_bad": "error", "test_good": "error"}
    assert "COORD_MODE: mode='sometimes'" in found.cases["test_good"].text


def test_inconclusive_as_one_likes_but_never_passed(tmp_path):
    cap = ["--reliability-trials=5", "-rsx", "-k", "good"]
    failed = session(tmp_path, FEW, *cap)
    assert (failed.code, outcomes(failed)) == (1, {"test_good": "failure"})
    assert "--reliability-trials=5 is reached; 15 more without a failure" in failed.out
    for how, word in (
        ("skip", r"SKIPPED \[1\] test_it.py:1\d: "),
        ("xfail", "XFAIL test_it.py::test_good - .*"),
    ):
        found = session(tmp_path, FEW, *cap, "-o", f"reliability_inconclusive={how}")
        assert (found.code, outcomes(found)) == (0, {"test_good": "skipped"})
        assert re.search(f"{word}inconclusive: 5 of 5 trials passed", found.out)
    assert session(tmp_path, FEW, *cap, "-o", "reliability_inconclusive=pass").code == 4
    assert session(tmp_path, FEW, "--reliability-trials=0").code == 4
    # a rejection needs no more trials than there were
    assert session(tmp_path, FEW, "--reliability-trials=12", "-k", "bad").code == 1


def test_the_first_failing_test_ends_the_session(tmp_path):
    found = session(tmp_path, FEW, "-x")
    assert (found.code, outcomes(found)) == (1, {"test_bad": "failure"})
    assert counts(found.cases["test_bad"]) == (12, 8, 4, 0)


def test_what_the_last_test_shares_is_torn_down_with_it(tmp_path):
    source = """
        import pytest


        @pytest.fixture(scope="session")
        def shared():
            yield
            raise OSError("still in use")


        @pytest.mark.reliability
        def test_bad(shared):
            assert False


        def test_after(shared):
            pass
    """
    found = session(tmp_path, source, "-x")
    assert "ERROR at teardown of test_bad" in found.out
    assert "test_after" not in found.cases
    assert "ERROR at teardown of test_after" in session(tmp_path, source).out


def test_an_interrupt_passes_at_once(tmp_path):
    source = """
        import pytest

        calls = []


        @pytest.fixture(scope="module")
        def shared():
            yield
            print("torn down after", len(calls))


        @pytest.mark.reliability
        def test_interrupted(shared):
            calls.append(1)
            if len(calls) == 5:
                raise KeyboardInterrupt
    """
    found = session(tmp_path, source, "-s")
    assert found.code == 2
    assert "torn down after 5" in found.out
    assert "KeyboardInterrupt" in found.out


def test_pdb_opens_at_a_failing_trial(tmp_path):
    found = session(tmp_path, FEW, "--pdb", "-k", "bad", stdin="p ('calls', len(calls))\nq\n")
    assert found.code == 2
    assert "('calls', 3)" in found.out
    assert found.out.count("entering PDB") == 1


def test_setup_plan_runs_nothing(tmp_path):
    assert "test_bad" in session(tmp_path, FEW, "--setup-plan").out


def test_workers_of_xdist(tmp_path):
    pytest.importorskip("xdist")
    source = """
        import random

        import pytest


        @pytest.mark.xdist_group("one")
        @pytest.mark.reliability(min_success=0.8)
        @pytest.mark.parametrize("seed", range(4))
        def test_workers(seed):
            assert DRAWS[seed].random() < 0.93


        DRAWS = [random.Random(seed) for seed in range(4)]
    """
    alone = session(tmp_path, source, "-omarkers=xdist_group(name): for pytest-xdist")
    # execnet says of itself what Python 3.12 and later do not like
    shared = session(
        tmp_path, source, "-n2", "--dist=loadgroup", "-Wdefault", plugins=["xdist.plugin"]
    )
    found = {name.partition("@")[0]: case for name, case in shared.cases.items()}
    assert len(found) == 4
    assert {n: c.found for n, c in found.items()} == {n: c.found for n, c in alone.cases.items()}
    assert shared.out.count("accepted  test_it.py::test_workers") == 4


def test_async_tests(tmp_path):
    pytest.importorskip("anyio")
    source = """
        import pytest
        from coord_plugins import track

        calls = []


        @pytest.fixture
        def anyio_backend():
            return "asyncio"


        @pytest.fixture
        async def made():
            calls.append(1)
            yield len(calls)


        @pytest.mark.anyio
        @pytest.mark.reliability(min_success=0.5)
        async def test_async(made):
            assert made == len(calls)
            async with track("pipe", goal=lambda output: True):
                pass
            if made == 2:
                raise GROUP("all of it", [AssertionError("no")])


        class GROUP(Exception):  # as Python 3.11 has them
            def __init__(self, message, exceptions):
                super().__init__(message)
                self.exceptions = tuple(exceptions)
    """
    found = session(tmp_path, source, plugins=["anyio.pytest_plugin"])
    case = found.cases["test_async"]
    assert (case.outcome, counts(case), case.found["runs"]) == ("passed", (11, 10, 1, 0), "11")


def test_a_session_without_the_mark_loads_nothing(tmp_path):
    source = """
        import sys


        def test_ordinary(request):
            heavy = {m.partition(".")[0] for m in sys.modules} & {"coord_plugins", "pydantic"}
            assert not heavy
            assert {m for m in sys.modules if m.startswith("coord_")} == {"coord_pytest"}
            assert not request.config.pluginmanager.has_plugin("coord_trials")
    """
    found = session(tmp_path, source, "--strict-markers", "-p", "no:terminal")
    assert outcomes(found) == {"test_ordinary": "passed"}, found.out
    assert "@pytest.mark.reliability(min_success=0.95" in session(tmp_path, "", "--markers").out


def test_the_running_evidence_is_shown_on_a_terminal(tmp_path):
    pty = pytest.importorskip("pty")
    (tmp_path / "test_it.py").write_text(
        "import pytest\n\n@pytest.mark.reliability(min_success=0.9)\ndef test_it():\n    pass\n"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "COLUMNS": "100"}
    env |= {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "TERM": "xterm"}
    ours, theirs = pty.openpty()
    command = [sys.executable, "-mpytest", "-pcoord_pytest", "-pno:cacheprovider", str(tmp_path)]
    with subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env=env, cwd=tmp_path
    ):
        os.close(theirs)
        written = b""
        while True:
            try:
                more = os.read(ours, 4096)
            except OSError:  # how Linux says that the other end is closed
                break
            if not more:
                break
            written += more
    os.close(ours)
    shown = [line.strip() for line in written.decode().split("\r")]
    assert (
        "test_it.py::test_it  1/1 passed, at most 400; evidence 2% to accept, 0% to reject" in shown
    )
    assert "accepted  test_it.py::test_it" in shown


def test_it_is_part_of_the_distribution():
    said = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert '[project.entry-points.pytest11]\ncoord_pytest = "coord_pytest"' in said
    assert '"adapters/coord_pytest",' in said


def test_a_pytest_that_lost_a_private_part_is_named(tmp_path):
    """The session ends with one line, and only where a marked test is collected."""
    marked = """
        import _pytest.runner
        import pytest

        del _pytest.runner.call_and_report

        @pytest.mark.reliability(min_success=0.5, expected=0.9)
        def test_it():
            pass
    """
    done = session(tmp_path, marked)
    assert done.code == 4
    assert "_pytest.runner.call_and_report is gone" in done.out
    assert "the last version that is known to work is 9.2.0" in done.out
