"""Questions: noted before the run, settled by it."""

import re

import pytest

from labsupport import environment
from labsupport.teaching import predictions
from labsupport.teaching.predictions import (
    QUESTIONS,
    Prediction,
    predict,
    settle,
)

ROW = {"question": "How many?", "right": "two", "options": {
    "one": {"outcome": 1, "reply": "One is too few."},
    "two": {"outcome": 2, "reply": "Two, one a task."},
    "it fails": {"outcome": "TimeoutError", "reply": "Nothing fails."}}}


@pytest.fixture
def row(monkeypatch):
    """The question P99.1, which nobody has answered yet."""
    monkeypatch.setattr(predictions, "_noted", {})
    monkeypatch.setitem(QUESTIONS, "P99.1", ROW)
    return ROW


@pytest.mark.parametrize("question_id", QUESTIONS)
def test_every_option_has_an_outcome_and_a_reply_of_its_own(question_id):
    options = QUESTIONS[question_id]["options"]
    assert len(options) >= 3
    for key in ("outcome", "reply"):
        each = [option[key] for option in options.values()]
        assert None not in each and len(set(map(repr, each))) == len(each)
    right = QUESTIONS[question_id]["right"]
    for one in right.values() if isinstance(right, dict) else [right]:
        assert one in options


def test_every_question_is_asked_and_settled_once(lessons):
    for word, end in (("predict", r"\)"), ("settle", ", ")):
        found = [question_id for notebook in lessons.values()
                 for cell in notebook.cells if cell.cell_type == "code"
                 for question_id in re.findall(
                     rf'^{word}\("(.+?)"{end}', cell.source, re.MULTILINE)]
        assert sorted(found) == sorted(QUESTIONS), word


def test_an_answer_is_noted_and_nothing_is_told(row):
    prediction = predict("P99.1")
    for number, option in enumerate(row["options"].values()):
        prediction.buttons[number].click()
        assert "noted" in prediction.said.value
        assert not re.search("[✓✗]|right|wrong", prediction.said.value)
        assert option["reply"] not in prediction.said.value
    assert predictions._noted == {"P99.1": "it fails"}
    assert [button.button_style for button in prediction.buttons] \
        == ["", "", "primary"]


def test_the_run_answers(row, capsys):
    settle("P99.1", 2)
    plain = capsys.readouterr().out
    assert plain == ("✓ P99.1  How many?\n"
                     "  ✗ A  one\n"
                     "       One is too few.\n"
                     "  ✓ B  two\n"
                     "       Two, one a task.\n"
                     "  ✗ C  it fails\n"
                     "       Nothing fails.\n")
    predict("P99.1", "A")
    settle("P99.1", 2)
    assert capsys.readouterr().out == plain.replace(
        "✓ P99.1", "✗ P99.1").replace("A  one", "A  one (your prediction)")
    predict("P99.1", "B")
    settle("P99.1", 2)
    assert capsys.readouterr().out == plain.replace(
        "B  two", "B  two (your prediction)")


@pytest.mark.parametrize("outcome, complaint", [
    (1, "the run says 'one'"),  # another option than the one held right
    ("TimeoutError", "the run says 'it fails'"),
    (3, "the outcome of 0 options"),
    (True, "the outcome of 0 options"),  # not the number 1
])
def test_a_run_that_contradicts_the_question_is_an_error(
        row, outcome, complaint):
    with pytest.raises(AssertionError, match=complaint):
        settle("P99.1", outcome)


def test_an_outcome_of_two_options_is_an_error(monkeypatch, row):
    twice = {**ROW["options"], "a pair": ROW["options"]["two"]}
    monkeypatch.setitem(QUESTIONS, "P99.1", {**ROW, "options": twice})
    with pytest.raises(AssertionError, match="of 2 options"):
        settle("P99.1", 2)


def test_what_is_right_may_depend_on_the_line(monkeypatch, row):
    monkeypatch.setitem(QUESTIONS, "P99.1", {
        **ROW, "right": {"2.0": "one", "2.1": "two"}})
    for series, outcome in (("2.0", 1), ("2.1", 2)):
        monkeypatch.setattr(predictions, "release_series", lambda: series)
        settle("P99.1", outcome)
        with pytest.raises(AssertionError):
            settle("P99.1", 3 - outcome)
    assert environment.release_series() in ("2.0", "2.1")


def test_a_question_is_readable_without_its_buttons(row):
    card = Prediction("P99.1").card()
    assert repr(card) == ("? P99.1  How many?\n  A  one\n  B  two\n"
                          "  C  it fails")
    assert "it fails" in card._repr_html_()


def test_a_letter_that_is_no_option(row):
    with pytest.raises(ValueError, match="A, B, C; 'Z' is none"):
        predict("P99.1", "Z")
