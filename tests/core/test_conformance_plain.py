"""The conformance suite on plain functions in a row."""

from __future__ import annotations

from coord_plugins.testing.conformance import Conformance, PlainDriver


class TestPlainFunctions(Conformance):
    driver = PlainDriver()
    excuses = {
        "test_4_1_8_human_approves": "plain functions have no way to ask a person",
        "test_4_1_8_human_rejects": "plain functions have no way to ask a person",
    }
