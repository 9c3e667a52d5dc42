"""What is public is listed, sorted, documented and importable."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import types

import pytest

import coord_plugins
from coord_plugins import errors

MODULES = [
    "coord_plugins",
    "coord_plugins.host",
    "coord_plugins.errors",
    "coord_plugins.planning",
    "coord_plugins.stats",
    "coord_plugins.testing",
    "coord_plugins.testing.conformance",
]


@pytest.mark.parametrize("name", MODULES)
def test_all_is_sorted_complete_and_true(name: str) -> None:
    module = importlib.import_module(name)
    listed = list(module.__all__)
    order = sorted(listed, key=lambda n: (not n.isupper(), not n[:1].isupper(), n))
    assert listed == order
    assert len(set(listed)) == len(listed)
    for public in listed:
        assert getattr(module, public) is not None
    own = {
        n
        for n, v in vars(module).items()
        if not n.startswith("_")
        and not isinstance(v, types.ModuleType)
        and getattr(v, "__module__", "").startswith("coord_plugins")
    }
    assert own - set(listed) == set()


@pytest.mark.parametrize("name", MODULES)
def test_every_public_name_has_a_docstring(name: str) -> None:
    module = importlib.import_module(name)
    assert module.__doc__
    missing = []
    for public in module.__all__:
        value = getattr(module, public)
        if not (inspect.isclass(value) or inspect.isfunction(value)):
            continue
        if not inspect.getdoc(value):
            missing.append(public)
        if inspect.isclass(value) and value.__module__.startswith("coord_plugins"):
            missing += [
                f"{public}.{n}"
                for n, member in vars(value).items()
                if not n.startswith("_")
                and (inspect.isfunction(member) or isinstance(member, property))
                and not inspect.getdoc(member)
            ]
    assert missing == []


def test_every_error_is_in_the_tree_and_exported() -> None:
    for name in errors.__all__:
        kind = getattr(errors, name)
        assert name in (errors.__doc__ or "") or name == "CoordWarning"
        assert getattr(coord_plugins, name) is kind
        if name != "CoordWarning":
            assert issubclass(kind, errors.CoordError)
            assert name.endswith("Error")


def test_options_are_keyword_only_and_frozen() -> None:
    for kind in (
        coord_plugins.Retry,
        coord_plugins.Budget,
        coord_plugins.Breaker,
        coord_plugins.Throttle,
        coord_plugins.RunRecord,
        coord_plugins.Validator,
    ):
        assert dataclasses.is_dataclass(kind)
        assert kind.__dataclass_params__.frozen  # type: ignore[attr-defined]
        with pytest.raises(TypeError):
            kind(1)


def test_every_field_of_an_option_is_documented() -> None:
    for kind in (
        coord_plugins.Retry,
        coord_plugins.Budget,
        coord_plugins.Breaker,
        coord_plugins.Throttle,
        coord_plugins.RunRecord,
        coord_plugins.Validator,
        coord_plugins.Verdict,
        coord_plugins.Handover,
        coord_plugins.Note,
    ):
        lines = inspect.getsource(kind).splitlines()
        for field in dataclasses.fields(kind):
            (at,) = (i for i, line in enumerate(lines) if line.startswith(f"    {field.name}:"))
            following = next(
                line
                for line in lines[at + 1 :]
                if line.startswith("    ") and line[4] != " " and line[4] != ")"
            )
            assert following.strip().startswith('"""'), f"{kind.__name__}.{field.name}"


def test_the_version_is_that_of_the_distribution() -> None:
    assert coord_plugins.__version__.count(".") == 2


def test_private_parts_of_a_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is gone is noted when an adapter is imported, and refused when it attaches."""
    from coord_plugins import UnsupportedHostError
    from coord_plugins.host import PrivateParts

    parts = PrivateParts("coord_x", "X", "pytest", tested=("1.0.10", "1.2.3"))
    assert parts.name("json", "loads") is not None
    parts.check()
    assert parts.name("json", "no_such_name") is None
    assert parts.name("no_such_module", "x") is None
    with pytest.raises(UnsupportedHostError, match=r"json.no_such_name, no_such_module.x is gone"):
        parts.check()
    with pytest.raises(UnsupportedHostError, match=r"relies on \(it\); the last .* is 1\.2\.3"):
        parts.refuse("it")
    for installed, known in (("1.0.2", True), ("1.1.9", True), ("1.2.99", True), ("1.3.0", False)):
        monkeypatch.setattr("coord_plugins._private_parts.version", lambda d, v=installed: v)
        assert (parts.finding() is None) == known, installed
    assert parts.finding() == "X 1.3.0 is not among the tested versions (1.0.10, 1.2.3)"
