"""What stands for a widget where no kernel lives."""

from ..drawing.figure import widget_bundle


class Pictured:
    """A widget whose ``figure()`` (a Figure) stands for it without a kernel.
    """

    def __repr__(self):
        figure = self.figure()
        return f"{figure.alt}\n{figure.text}"

    def _repr_mimebundle_(self, **_):
        return widget_bundle(self, repr(self)) | {
            "text/html": self.figure()._repr_html_()}
