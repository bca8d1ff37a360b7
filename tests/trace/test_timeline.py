"""Lanes can be told apart, and what went wrong can be read."""

import re

from labsupport.trace.spans import Mark, Span
from labsupport.trace.timeline import LABEL, labels, timeline

STARLETTE = ("starlette.middleware.base.BaseHTTPMiddleware.__call__.<locals>"
             ".call_next.<locals>.coro")


def test_long_names_are_told_apart():
    lanes = [STARLETTE, f"{STARLETTE} (2)", "main", "exactly 12 c",
             "a long one, then b and its end", "a long one, then c, its end"]
    found = labels(lanes)
    assert list(found) == lanes
    assert len({*found.values()}) == len(lanes)
    assert max(map(len, found.values())) <= LABEL
    assert (found["main"], found["exactly 12 c"]) == ("main", "exactly 12 c")
    assert found[f"{STARLETTE} (2)"].endswith(" (2)")


class Told:
    """What a Fold has found."""

    def __init__(self, spans, marks):
        self.spans, self.marks = spans, marks


def test_the_whole_name_is_in_the_picture_and_in_its_text():
    shown = timeline(Told([Span(STARLETTE, "executing", 0, 1, 1, "c1")], []),
                     "task", 1.0)
    assert f"<title>{STARLETTE}</title>" in shown.svg.replace(
        "&lt;", "<").replace("&gt;", ">")
    assert STARLETTE in repr(shown)
    # An & that the attribute src would decode cuts the picture off.
    assert "&" not in re.search(r'src="([^"]*)"', shown._repr_html_())[1]


def test_what_went_wrong_is_written_below_the_bars():
    spans = [Span("one", "executing", 0, 1, 1, "c1"),
             Span("two", "executing", 0, 1, 1, "c2")]
    svg = timeline(Told(spans, [Mark("one", "invalidated", 0.5)]),
                   "task", 1.0).svg
    mark = float(re.search(r'y="([\d.]+)"[^>]*>× invalidated', svg)[1])
    bars = [(float(y), float(height)) for y, height in re.findall(
        r'<rect x="[\d.]+" y="([\d.]+)" width="[\d.]+" '
        r'height="([\d.]+)" fill="#0072B2"/>', svg)][-2:]
    for y, height in bars:  # 10 px is what the words rise above their line
        assert mark - 10 >= y + height or mark + 3 <= y
