"""The few shapes that the course draws with. Lengths are CSS pixels."""

from html import escape

# An <img> cannot see JupyterLab's theme, so the ground is drawn too: the
# same picture is readable on a light page and on a dark one.
_STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#222}"
    ".small{font-size:11px;fill:#444}.head{font-weight:600}"
    ".bad{fill:#B34700;font-weight:600}.inside{font-size:11px;fill:#fff}"
    ".ground{fill:#fff;stroke:#ccc}.grid{stroke:#ddd}"
    ".limit{stroke:#B34700;stroke-dasharray:5 3}"
    "@media(prefers-color-scheme:dark){text{fill:#eee}.small{fill:#bbb}"
    ".bad{fill:#FF9D5C}.inside{fill:#fff}.limit{stroke:#FF9D5C}"
    ".ground{fill:#1c1c1c;stroke:#555}.grid{stroke:#444}}"
)
_HATCH = (
    '<pattern id="hatch" width="5" height="5" patternUnits="userSpaceOnUse" '
    'patternTransform="rotate(45)"><path d="M0 0V5" stroke="#fff" '
    'stroke-width="2.4" opacity=".6"/></pattern>'
)


def picture(width, height, *shapes):
    """An SVG document (str) with ``shapes`` (str) on a ground of its own."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" '
        f'height="{height}" viewBox="0 0 {width} {height}">'
        f"<style>{_STYLE}</style>{_HATCH}"
        f'<rect class="ground" x=".5" y=".5" width="{width - 1}" '
        f'height="{height - 1}" rx="6"/>{"".join(shapes)}</svg>'
    )


def text(x, y, words, *, kind="", anchor="start"):
    """``words`` at ``x``, ``y``.

    ``kind`` is ``small``, ``head``, ``bad``, ``inside`` a bar, or none;
    ``anchor`` says which part of the words is at ``x``: ``start``,
    ``middle`` or ``end``.
    """
    return (f'<text x="{x:.5g}" y="{y:.5g}" class="{kind}" '
            f'text-anchor="{anchor}">{escape(words)}</text>')


def box(x, y, width, height, *, colour="none", dashed=False):
    """A rectangle, filled with ``colour``, with a plain or dashed border."""
    dash = ' stroke-dasharray="4 3"' if dashed else ""
    return (f'<rect x="{x}" y="{y}" width="{width}" height="{height}" '
            f'rx="4" fill="{colour}" stroke="#888"{dash}/>')


def bar(x, y, width, height, *, colour, share=1.0, hatched=False):
    """A bar in a row of ``height``; it takes the middle ``share`` of it."""
    place = (f'x="{x:.5g}" y="{y + height * (1 - share) / 2:.5g}" '
             f'width="{max(width, 1):.5g}" height="{height * share:.5g}"')
    hatch = f'<rect {place} fill="url(#hatch)"/>' if hatched else ""
    return f'<rect {place} fill="{colour}"/>{hatch}'


def arrow(x1, y, x2):
    """A horizontal arrow from ``x1`` to ``x2``."""
    return (f'<path d="M{x1} {y}H{x2}M{x2 - 6} {y - 4}L{x2} {y}'
            f'L{x2 - 6} {y + 4}" fill="none" stroke="#888" '
            'stroke-width="1.5"/>')


def line(x1, y1, x2, y2, *, kind="grid"):
    """A straight line; ``kind`` is ``grid`` or ``limit``."""
    return f'<path class="{kind}" d="M{x1:.5g} {y1:.5g}L{x2:.5g} {y2:.5g}"/>'


def time_axis(seconds, left, right, top, bottom):
    """Grid lines from ``top`` to ``bottom``, with milliseconds below.

    Returns the shapes (str) and the function from seconds to x.
    """
    scale = (right - left) / max(seconds, 1e-6)

    def x(at):
        return left + at * scale

    step = next(digit * 10.0 ** power for power in range(-5, 6)
                for digit in (1, 2, 5)
                if seconds / (digit * 10.0 ** power) <= 8)
    shapes = [text(right + 8, bottom + 15, "ms", kind="small")]
    for number in range(int(seconds / step) + 1):
        at = number * step
        shapes += [line(x(at), top, x(at), bottom),
                   text(x(at), bottom + 15, f"{at * 1000:.4g}", kind="small",
                        anchor="middle")]
    return "".join(shapes), x


def stroke(path, *, colour="#888", dashed=False):
    """An SVG ``path`` (str), drawn as a line of one pixel and a half."""
    dash = ' stroke-dasharray="5 4"' if dashed else ""
    return (f'<path d="{path}" fill="none" stroke="{colour}" '
            f'stroke-width="1.5"{dash}/>')


def pointer(x1, y, x2, *, colour="#888", dashed=False):
    """A horizontal arrow from ``x1`` to ``x2``, to the left or the right."""
    back = x2 - 8 if x2 > x1 else x2 + 8
    return (stroke(f"M{x1} {y}H{back}", colour=colour, dashed=dashed)
            + f'<path d="M{x2} {y}L{back} {y - 4}V{y + 4}Z" '
              f'fill="{colour}"/>')
