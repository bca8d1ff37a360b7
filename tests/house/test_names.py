"""What a notebook imports, and what the guides name."""

import re

import pytest
from conftest import ROOT

import labsupport
from labsupport.working_copy import COPY

GUIDES = ("CONTRIBUTING.md", "labsupport/README.md")
PATH = re.compile(  # of a file or directory, or where a link leads
    r"`([\w-][\w./-]*/[\w./-]*|[\w-]+\.(?:py|json|toml))`|\]\(([^):#]+)")


def test_names_are_loaded_when_used():
    for name in labsupport.__all__:
        assert callable(getattr(labsupport, name)), name
    with pytest.raises(AttributeError, match="no 'nonsense'"):
        labsupport.nonsense


def not_there(text):
    """The paths in ``text`` that are none (list of str).

    Of the repository, the package, or one of its rooms.
    """
    paths = {code or link for code, link in PATH.findall(text)}
    assert len(paths) > 5
    return [path for path in paths - {f"{COPY.name}/"} if not any(
        any(place.glob(path.replace("NN", "[0-9][0-9]").rstrip("/")))
        for place in (ROOT, *(ROOT / "labsupport").glob("**/")))]


@pytest.mark.parametrize("guide", GUIDES)
def test_a_guide_names_what_is_there(guide):
    text = (ROOT / guide).read_text(encoding="utf-8")
    assert not_there(text) == []
    renamed = text.replace("authoring/rules.py", "authoring/ruler.py")
    assert len(not_there(renamed)) == 1


def test_readme_names_the_two_commands():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "python3 -m labsupport lab" in readme
    assert "python3 -m labsupport test" in readme
