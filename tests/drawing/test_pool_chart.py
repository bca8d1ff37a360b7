"""The curves of a pool: what they show, at the place where it happened."""

import re

from labsupport.drawing.pool_chart import COLUMNS, LEFT, WIDE, pool_chart


def curves(svg):
    """The paths of both diagrams (list of str): waiting, then connections."""
    return re.findall(rf'<path d="(M{LEFT} \d+H[^"]*)"', svg)


def test_a_change_stands_at_its_second():
    waiting, live = curves(pool_chart(
        {"simulated": [(0, 0, 1), (5, 4, 2), (6, 0, 2), (10, 0, 1)]}, 10, 5))
    # Nothing until the middle; the highest there is the top of the diagram.
    middle = LEFT + WIDE / 2
    assert waiting.split("H")[1] == f"{middle:.5g}V40"
    assert live.count("V") == 2  # one connection, two


def test_a_short_peak_is_not_lost():
    """Shorter than a column is wide, and drawn as high as it was."""
    peak = 10 / COLUMNS / 10
    waiting, _ = curves(pool_chart(
        {"simulated": [(5, 9, 1), (5 + peak, 0, 1), (10, 0, 1)]}, 10, 5))
    assert "V40" in waiting


def test_a_run_that_goes_on_ends_where_it_is():
    svg = pool_chart({"simulated": [(0, 0, 1), (10, 0, 1)],
                      "real": [(0, 0, 1), (2.5, 1, 1)]}, 10, 1)
    real = curves(svg)[1]
    end = float(re.findall(r"H([\d.]+)", real)[-1])
    assert end < LEFT + WIDE * .26
    assert "simulated" in svg and "real" in svg
    assert "stroke-dasharray" in svg  # the second cue


def test_what_comes_after_the_end_is_left_out():
    waiting, _ = curves(pool_chart(
        {"simulated": [(0, 0, 1), (11, 7, 1)]}, 10, 5))
    assert "V" not in waiting
