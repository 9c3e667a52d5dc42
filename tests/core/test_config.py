"""Configuration: precedence, modes, redaction, and where each value came from."""

from __future__ import annotations

import pytest

from coord_plugins import PolicyError, ValidationEdge, check, configure
from coord_plugins._config import TEXT_CAP, clean, configured, current_mode, explain
from coord_plugins._mode import weakest
from coord_plugins.testing import simulate


def test_precedence(monkeypatch: pytest.MonkeyPatch) -> None:
    assert configured("environment") is None
    monkeypatch.setenv("COORD_ENVIRONMENT", "staging")
    assert configured("environment") == "staging"
    configure(environment="production")
    assert configured("environment") == "production"
    assert simulate(steps={"a": "x"}).record.environment == "production"  # type: ignore[union-attr]


def test_what_is_not_named_stays() -> None:
    configure(environment="production", release="1.2")
    configure(release="1.3")
    assert (configured("environment"), configured("release")) == ("production", "1.3")


def test_tags_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COORD_TAGS", "a, b")
    assert simulate(steps={"a": "x"}, tags=["c"]).record.tags == ("a", "b", "c")  # type: ignore[union-attr]


@pytest.mark.parametrize("attach", [None, "enforce", "observe", "off"])
@pytest.mark.parametrize("process", [None, "enforce", "observe", "off"])
@pytest.mark.parametrize("env", ["", "enforce", "observe", "off"])
def test_the_weakest_mode_wins(
    attach: str | None, process: str | None, env: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    strength = ["off", "observe", "enforce"]
    given = [m for m in (attach, process, env) if m]
    wanted = min(given, key=strength.index) if given else "enforce"
    configure(mode=process)  # type: ignore[arg-type]
    monkeypatch.setenv("COORD_MODE", env)
    assert current_mode(attach) == wanted  # type: ignore[arg-type]
    edge = ValidationEdge("w", check(lambda o: o == "good", name="v"))
    seen = simulate(edge, {"w": ["bad", "good"]}, mode=attach)
    assert seen.executions == {"w": 2 if wanted == "enforce" else 1}
    assert (seen.record is None) == (wanted == "off")


def test_weakest() -> None:
    assert weakest() == "enforce"
    assert weakest(None, "observe", None) == "observe"
    assert weakest("observe", "off", "enforce") == "off"


def test_the_mode_is_read_when_a_run_starts() -> None:
    edge = ValidationEdge("w", check(lambda o: o == "good", name="v"))
    configure(mode="observe")
    assert simulate(edge, {"w": ["bad", "good"]}).executions == {"w": 1}
    configure(mode=None)
    assert simulate(edge, {"w": ["bad", "good"]}).executions == {"w": 2}


def test_what_cannot_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PolicyError, match="mode='half'"):
        configure(mode="half")  # type: ignore[arg-type]
    with pytest.raises(PolicyError, match="capture='all'"):
        configure(capture="all")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        configure(stroe="x")  # type: ignore[call-arg]
    monkeypatch.setenv("COORD_MODE", "half")
    with pytest.raises(PolicyError, match="COORD_MODE"):
        current_mode()


def test_clean_redacts_then_cuts() -> None:
    configure(redact=lambda text: text.replace("secret", "x" * TEXT_CAP))
    said = clean("secret secret")
    assert said is not None
    assert (len(said), "secret" in said, said[-1]) == (TEXT_CAP, False, "…")
    assert clean(None) is None
    assert clean("short") == "short"


def test_explain_says_where_each_value_came_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COORD_RELEASE", "1.2")
    configure(environment="production", mode="observe")
    found = {name: (value, source) for name, value, source in explain()}
    assert found["environment"] == ("'production'", "configure")
    assert found["release"] == ("'1.2'", "COORD_RELEASE")
    assert found["mode"] == ("'observe'", "configure")
    assert found["capture"] == ("'none'", "default")
    monkeypatch.setenv("COORD_MODE", "off")
    assert {n: s for n, _, s in explain()}["mode"] == "COORD_MODE"


def test_a_redact_hook_that_raises_does_not_hurt_the_run() -> None:
    """Recording never hurts the run; what could not be redacted is not kept."""

    def broken(text: str) -> str:
        raise RuntimeError("no model loaded")

    configure(redact=broken)
    edge = ValidationEdge("w", check(lambda o: o == "good", name="v", feedback="secret"))
    seen = simulate(edge, {"w": ["bad", "good"]})
    assert (seen.error, seen.output) == (None, "good")
    assert seen.record is not None
    assert "secret" not in repr(seen.record.to_dict())
