"""Bars of microseconds: one scale, and a twin without numbers."""

import re

from labsupport.drawing.time_bars import WIDE, time_bars


def test_bars_have_one_scale_and_the_text_gives_the_order():
    figure = time_bars({"SELECT 1": 220e-6, "a hand-over": 11e-6})
    widths = re.findall(r'width="([\d.]+)" height="22', figure.svg)
    assert list(map(float, widths)) == [WIDE, WIDE / 20]
    assert ">220 µs<" in figure.svg and ">11 µs<" in figure.svg
    assert figure.text == "the shortest first: a hand-over, SELECT 1"
    assert figure.text in figure.alt
