"""Ask before the cell runs: a question that never blocks.

The questions are in ``predictions.json``: each wrong option is something
people really believe, and has a reply of its own.
"""

import json
import textwrap
from html import escape
from pathlib import Path

from ipywidgets import HTML, Button, RadioButtons, VBox

from ..drawing.figure import widget_bundle

QUESTIONS = json.loads(
    Path(__file__).with_name("predictions.json").read_text(encoding="utf-8"))


class Prediction(VBox):
    """One question with its options and, once you answered, the reply."""

    def __init__(self, question_id):
        self.question_id = question_id
        self.row = QUESTIONS[question_id]
        self.options = RadioButtons(
            options=list(self.row["options"]), value=None,
            layout={"width": "max-content", "max_width": "100%"},
        )
        self.button = Button(description="This is my prediction",
                             tooltip=f"Answer question {question_id}",
                             layout={"width": "max-content"})
        self.reply = HTML()
        self.button.on_click(self._answer)
        heading = HTML(f"<b>{escape(question_id)}</b> "
                       f"{escape(self.row['question'])}")
        super().__init__([heading, self.options, self.button, self.reply])

    def _answer(self, _button):
        chosen = self.options.value
        if chosen is None:
            self._say("○", "Choose an option first.")
        else:
            self._say("✓" if chosen == self.row["right"] else "✗",
                      self.row["options"][chosen])

    def _say(self, sign, text):
        # role=status: a screen reader reads the reply out when it appears.
        self.reply.value = (f'<div role="status">{sign} {escape(text)}</div>')

    def __repr__(self):
        lines = [textwrap.fill(f"{self.question_id}  {self.row['question']}",
                               79, subsequent_indent=" " * 7)]
        return "\n".join(lines + [f"  ( ) {text}" for text
                                  in self.row["options"]])

    def _repr_mimebundle_(self, **_):
        """The widget, and beside it the question as text."""
        return widget_bundle(self, repr(self))


def predict(question_id):
    """The Prediction with this id, such as ``"P08.1"``, ready to show."""
    return Prediction(question_id)
