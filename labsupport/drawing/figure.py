"""A picture for the eye, and the same facts as text."""

from html import escape
from urllib.parse import quote


class Figure:
    """An SVG picture with its alt text and its text twin.

    The SVG travels as an ``<img>``: JupyterLab shows that even in a notebook
    it does not trust, and the picture follows the light or dark theme. The
    text twin is what a terminal, a screen reader and nbval get.
    """

    def __init__(self, svg, alt, text):
        self.svg, self.alt, self.text = svg, alt, text

    def __repr__(self):
        return self.text

    def _repr_html_(self):
        # The usual marks stay readable: the notebook's diff is for people.
        # Not &: what it begins, the attribute would end.
        data = quote(self.svg, safe=" =/:;,()'!*@[]{}|~$+?")
        return (f'<img alt="{escape(self.alt)}" '
                f'src="data:image/svg+xml,{data}">\n'
                # For who looks; a screen reader has read the alt text.
                f'<div aria-hidden="true">{escape(self.alt)}</div>'
                "<details><summary>the same as text</summary>"
                f"<pre>{escape(self.text)}</pre></details>")


def widget_bundle(widget, text=None):
    """What a widget's ``_repr_mimebundle_`` returns (dict).

    Takes the widget and its text twin (str); None leaves the twin out.
    """
    bundle = {} if text is None else {"text/plain": text}
    return bundle | {"application/vnd.jupyter.widget-view+json": {
        "version_major": 2, "version_minor": 0, "model_id": widget.model_id}}
