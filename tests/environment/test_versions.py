"""Which versions are here."""

import pytest

from labsupport import environment


def test_a_package_that_is_too_old_is_named(monkeypatch):
    monkeypatch.setattr(environment, "version", lambda name: "2.0.45")
    with pytest.raises(RuntimeError, match=r"sqlalchemy 2\.0\.45 is too old"):
        environment.require_versions()


def test_versions_of_everything():
    assert set(environment.DRIVERS) < set(environment.versions())
