"""A figure: its picture, its alt text, its text twin."""

from labsupport.drawing import figure


def test_a_figure_escapes_what_it_is_given():
    shown = figure.Figure("<svg/>", '"a" <b>', "<c>")._repr_html_()
    assert 'alt="&quot;a&quot; &lt;b&gt;"' in shown and "&lt;c&gt;" in shown
    assert repr(figure.Figure("<svg/>", "alt", "text")) == "text"
