"""The few shapes that the course draws with. Lengths are CSS pixels."""

from html import escape

# Okabe and Ito's colours, which stay apart for colour-blind readers.
BLUE, GREEN = "#0072B2", "#009E73"

# An <img> cannot see JupyterLab's theme, so the ground is drawn too: the
# same picture is readable on a light page and on a dark one.
_STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#222}"
    ".small{font-size:11px;fill:#444}.head{font-weight:600}"
    ".ground{fill:#fff;stroke:#ccc}"
    "@media(prefers-color-scheme:dark){text{fill:#eee}.small{fill:#bbb}"
    ".ground{fill:#1c1c1c;stroke:#555}}"
)


def picture(width, height, *shapes):
    """An SVG document (str) with ``shapes`` (str) on a ground of its own."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" '
        f'height="{height}" viewBox="0 0 {width} {height}">'
        f"<style>{_STYLE}</style>"
        f'<rect class="ground" x=".5" y=".5" width="{width - 1}" '
        f'height="{height - 1}" rx="6"/>{"".join(shapes)}</svg>'
    )


def text(x, y, words, *, kind=""):
    """``words`` at ``x``, ``y``; ``kind`` is ``small``, ``head`` or none."""
    return f'<text x="{x}" y="{y}" class="{kind}">{escape(words)}</text>'


def box(x, y, width, height, *, colour="none", dashed=False):
    """A rectangle, filled with ``colour``, with a plain or dashed border."""
    dash = ' stroke-dasharray="4 3"' if dashed else ""
    return (f'<rect x="{x}" y="{y}" width="{width}" height="{height}" '
            f'rx="4" fill="{colour}" stroke="#888"{dash}/>')


def arrow(x1, y, x2):
    """A horizontal arrow from ``x1`` to ``x2``."""
    return (f'<path d="M{x1} {y}H{x2}M{x2 - 6} {y - 4}L{x2} {y}'
            f'L{x2 - 6} {y + 4}" fill="none" stroke="#888" '
            'stroke-width="1.5"/>')


def line(x1, y1, x2, y2, *, colour="#888", width=1.5, dashed=False):
    """A straight line from ``x1``, ``y1`` to ``x2``, ``y2``."""
    dash = ' stroke-dasharray="5 4"' if dashed else ""
    return (f'<path d="M{x1} {y1}L{x2} {y2}" fill="none" stroke="{colour}" '
            f'stroke-width="{width}"{dash}/>')


def pointer(x1, y, x2, *, colour="#888", dashed=False):
    """A horizontal arrow from ``x1`` to ``x2``, to the left or the right."""
    back = x2 - 8 if x2 > x1 else x2 + 8
    return (line(x1, y, back, y, colour=colour, dashed=dashed)
            + f'<path d="M{x2} {y}L{back} {y - 4}V{y + 4}Z" '
              f'fill="{colour}"/>')


def label(x, y, words, *, colour="", anchor="middle"):
    """Small ``words`` around ``x``; ``anchor`` is an SVG text-anchor."""
    style = f' style="fill:{colour};font-weight:600"' if colour else ""
    return (f'<text x="{x}" y="{y}" class="small" text-anchor="{anchor}"'
            f"{style}>{escape(words)}</text>")
