"""What a notebook imports."""

import pytest
from conftest import ROOT

import labsupport


def test_names_are_loaded_when_used():
    for name in labsupport.__all__:
        assert callable(getattr(labsupport, name)), name
    with pytest.raises(AttributeError, match="no 'nonsense'"):
        labsupport.nonsense



def test_readme_names_the_two_commands():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "python3 -m labsupport lab" in readme
    assert "python3 -m labsupport test" in readme
