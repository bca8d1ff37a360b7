"""Functions of a notebook as tests of pytest."""

import pytest

from labsupport.notebook.pytest_run import run_tests

LIMIT = 3


@pytest.fixture
def checked():
    """Fails in what comes after the test."""
    seen = []
    yield seen
    assert len(seen) < LIMIT, f"seen {len(seen)}"


def test_a_function_without_a_source_is_refused():
    source = {}
    exec("def test_good():\n    pass", source)
    with pytest.raises(TypeError, match="define it in a cell"):
        run_tests(source["test_good"])


def test_a_fixture_that_fails_afterwards_fails_its_test():
    def test_good(checked):
        checked += [1]

    def test_bad(checked):
        checked += [1, 2, 3]

    run = run_tests(checked, test_good, test_bad)
    assert run.outcomes == {"test_good": "passed", "test_bad": "failed"}
    assert run.why[0] == "AssertionError: seen 3"
    assert repr(run).splitlines()[:2] == ["test_good passed",
                                          "test_bad failed"]


def test_no_test_is_an_error():
    with pytest.raises(RuntimeError, match="pytest ran no test"):
        run_tests(checked)


def test_what_pytest_refuses_is_said():
    def test_good(nobody):
        pass

    run = run_tests(test_good)
    assert run.outcomes == {"test_good": "failed"}
    assert any("fixture 'nobody' not found" in why for why in run.why)


@pytest.fixture(scope="session")
def longer(monkeypatch):
    pass


def test_scopes_that_do_not_fit_are_said():
    def test_good(longer):
        pass

    run = run_tests(longer, test_good)
    assert run.why[0].startswith("ScopeMismatch: You tried to access")
