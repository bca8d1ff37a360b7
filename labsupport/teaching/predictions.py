"""Ask before the cell runs, and let the run answer: nothing ever blocks.

    predict("P08.3")               the question; your answer is noted
    settle("P08.3", outcome)       after the run: each option and its reply

The questions are in ``predictions.json``. Each option says which ``outcome``
of the run it foretells; each wrong one is something people really believe.
"""

import json
from html import escape
from pathlib import Path

from ipywidgets import HTML, Button, HBox

from ..drawing.card import Card, show
from ..drawing.figure import widget_bundle
from ..environment import release_series

QUESTIONS = json.loads(
    Path(__file__).with_name("predictions.json").read_text(encoding="utf-8"))

LETTERS = "ABCDE"
_noted: dict[str, str] = {}  # question id → the option (str) you chose


class Prediction(HBox):
    """A question, and a button for each option. It says only: noted."""

    def __init__(self, question_id):
        self.question_id, self.row = question_id, QUESTIONS[question_id]
        self.letters = dict(zip(LETTERS, self.row["options"]))
        self.buttons = [
            Button(description=letter, tooltip=f"{question_id}: {option}",
                   layout={"width": "3em"})
            for letter, option in self.letters.items()]
        for button in self.buttons:
            button.on_click(lambda button: self.note(button.description))
        # role=status: a screen reader reads it out when it changes.
        self.said = HTML('<div role="status"></div>')
        super().__init__([HTML("your prediction:"), *self.buttons, self.said])

    def note(self, letter):
        """Take an answer: the letter (str) of an option, or ValueError."""
        if letter not in self.letters:
            raise ValueError(f"{self.question_id} has the options "
                             f"{', '.join(self.letters)}; {letter!r} is none.")
        _noted[self.question_id] = self.letters[letter]
        for button in self.buttons:
            chosen = button.description == letter
            button.button_style = "primary" if chosen else ""
        self.said.value = (f'<div role="status">noted: {escape(letter)}. '
                           "The run answers it.</div>")

    def card(self):
        """The question and its options, readable without a kernel (Card)."""
        return Card("asked", f"{self.question_id}  {self.row['question']}",
                    self.letters.items())

    def __repr__(self):
        return repr(self.card())

    def _ipython_display_(self):
        from IPython.display import display

        show(self.card())
        # Raw: an object would add its repr, with an address. The text twin
        # of the buttons is the card.
        display(widget_bundle(self), raw=True)


def predict(question_id, answer=None):
    """The Prediction with this id, such as ``"P08.1"``, ready to show.

    ``answer`` may be the letter of an option, for who has no buttons.
    """
    prediction = Prediction(question_id)
    if answer is not None:
        prediction.note(answer)
    return prediction


def settle(question_id, outcome):
    """Let ``outcome``, what the run found, answer a question; show replies.

    Raises AssertionError unless the outcome is that of exactly one option,
    and this is the option that ``predictions.json`` holds to be right.
    """
    row = QUESTIONS[question_id]
    came = [option for option, known in row["options"].items()
            if _plain(known["outcome"]) == _plain(outcome)]
    assert len(came) == 1, (
        f"{question_id}: the run gives {outcome!r}, which is the outcome of "
        f"{len(came)} options; it has to be that of one.")
    right = row["right"]
    if isinstance(right, dict):  # it depends on the line of releases
        right = right[release_series()]
    assert came == [right], (
        f"{question_id}: the run says {came[0]!r}, the question holds "
        f"{right!r} to be right.")
    yours = _noted.get(question_id)
    rows, labels = [], []
    for letter, (option, known) in zip(LETTERS, row["options"].items()):
        mark = " (your prediction)" if option == yours else ""
        labels.append(f"{'✓' if option == right else '✗'} {letter}")
        rows += [(labels[-1], option + mark), ("", known["reply"])]
    show(Card("bad" if yours not in (None, right) else "good",
              f"{question_id}  {row['question']}", rows, strong=labels))


def _plain(outcome):
    """With its type, for True is no 1; a tuple counts as a list."""
    if isinstance(outcome, tuple):
        outcome = list(outcome)
    return type(outcome), outcome
