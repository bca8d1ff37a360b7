"""Cards: the same facts in HTML and as text."""

import re

import pytest

from labsupport.drawing.card import Card
from labsupport.drawing.looks import TONES

CARD = Card("bad", "raised <ValueError>", [
    ("says", "a & b " + "very " * 20 + "long"), ("your line", "f(x)")],
    code=("your line",))
PAIR = Card("good", "x", [("A", "one & two"), ("", "below")], strong=("A",))


def test_text():
    lines = repr(CARD).splitlines()
    assert lines[0] == "✗ raised <ValueError>"
    assert lines[1].startswith("  says       a & b very")
    assert lines[2].startswith(" " * 13 + "very")
    assert lines[-1] == "  your line  f(x)"
    assert max(map(len, lines)) <= 79


def test_html_says_the_same_and_brings_no_ink_of_its_own():
    html = CARD._repr_html_()
    assert "raised &lt;ValueError&gt;" in html and "a &amp; b" in html
    assert "<code>f(x)</code>" in html
    # Text keeps the page's colour, in light and dark: no contrast to lose.
    assert not re.search(r"[;\"](color|background)[^;]*:", html)


def test_a_row_without_a_label_belongs_to_the_one_above():
    assert repr(PAIR) == "✓ x\n  A  one & two\n     below"
    html = PAIR._repr_html_()
    assert "<i>A</i> <b>one &amp; two</b>" in html
    assert 'margin-left:2em">below<' in html


@pytest.mark.parametrize("tone", TONES)
def test_every_tone_has_a_sign_besides_its_colour(tone):
    sign, colour = TONES[tone]
    assert repr(Card(tone, "x")) == f"{sign} x"
    assert colour in Card(tone, "x")._repr_html_()
    assert len({sign for sign, _ in TONES.values()}) == len(TONES)
