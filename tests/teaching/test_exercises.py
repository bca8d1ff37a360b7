"""Each exercise, three ways: its stub, the solution shown, wrong answers.

On SQLAlchemy 2.0 without the wrong answers: there it is the question whether
a right one is taken.
"""

import asyncio
import gc
import warnings
from dataclasses import replace

import pytest
import sqlalchemy
from sqlalchemy import event
from sqlalchemy.pool import Pool

from labsupport.authoring import notebooks as authoring
from labsupport.authoring.notebooks import exercise_of, role
from labsupport.databases import postgres as postgres_database
from labsupport.databases import sqlite
from labsupport.servers import postgres
from labsupport.teaching import exercises as machinery
from labsupport.teaching.exercises import (
    Exercise,
    Misconception,
    NotYet,
    leftovers,
    stub_of,
)


def shown():
    """(exercise id, solution, name of the answer, globals of the lesson)."""
    for path in authoring.course():
        notebook = authoring.read(path)
        answers = {exercise_of(cell): cell.source.split(", ")[1].rstrip(")")
                   for cell in notebook.cells if role(cell) == "check"}
        for exercise_id, solution in authoring.solutions(notebook).items():
            yield pytest.param(exercise_id, solution, answers[exercise_id],
                               given(notebook), id=exercise_id)


def given(notebook):
    """What a lesson has imported and named before its exercises (source)."""
    lines = []
    for cell in notebook.cells:
        if cell.cell_type == "code":
            lines += [
                line for line in cell.source.splitlines()
                if line.startswith(("from ", "import ", "ADD", "TABLES"))]
    return "\n".join(lines)


async def outcome(exercise_id, source, name, imports):
    namespace = {}
    exec(imports, namespace)
    # Under a name that counts as the learner's code; <string> does not.
    exec(compile(source, "answer.py", "exec"), namespace)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # wrong answers forget to await
        return await machinery.check(exercise_id, namespace[name])


def prove(exercise_id, solution, name, imports, also_wrong=True):
    """Assert the outcomes; raises AssertionError if one is not so."""
    async def all_three():
        async def of(source):
            return await outcome(exercise_id, source, name, imports)

        stub = await of(stub_of(solution))
        assert stub.state == "not attempted", f"the stub: {stub}"
        right = await of(solution)
        assert right.state == "correct", f"the solution: {right}"
        plain = solution.replace("  # yours", "")
        exercise = machinery.find(exercise_id)
        assert len(exercise.also_right) >= 2 \
            and len(exercise.misconceptions) >= 4, "too few answers are tried"
        for source in exercise.also_right:
            result = await of(source)
            assert result.state == "correct", f"{source}: {result}"
        for wrong in exercise.misconceptions if also_wrong else ():
            assert wrong.old in plain, f"nothing to break: {wrong.old}"
            result = await of(plain.replace(wrong.old, wrong.new)
                              if wrong.old else wrong.new)
            assert result.state == "not yet", f"{wrong.new}: {result}"
            assert wrong.says in result.message, f"{wrong.new}: {result}"

    asyncio.run(all_three())


@pytest.fixture(scope="module")
def server():
    """PostgreSQL runs: its start is not part of an answer's time."""
    postgres.running()


@pytest.mark.parametrize("exercise_id, solution, name, imports", list(shown()))
def test_three_ways(server, exercise_id, solution, name, imports):
    prove(exercise_id, solution, name, imports,
          also_wrong=not sqlalchemy.__version__.startswith("2.0"))
    assert all(machinery.find(exercise_id).hints)


@pytest.mark.parametrize("exercise_id, solution, name, imports", list(shown()))
def test_stub_is_the_solution_without_your_lines(exercise_id, solution, name,
                                                 imports):
    kept = [line for line in stub_of(solution).splitlines()
            if not line.endswith("  # yours")]
    assert all(line in solution.splitlines() for line in kept)
    assert "# yours" in solution


def test_notebooks_hold_the_stub_of_their_solution(lessons):
    for notebook in lessons.values():
        stubs = {exercise_of(cell): cell.source for cell in notebook.cells
                 if role(cell) == "stub"}
        assert stubs == {key: stub_of(solution) for key, solution
                         in authoring.solutions(notebook).items()}


SOLUTION = """async def double(number):
    return 2 * number  # yours"""


DOUBLED = """async def double(number):
    return number + number"""


@pytest.fixture
def doubling(monkeypatch):
    async def check(answer):
        if await answer(3) != 6:
            raise NotYet("three is not doubled")
        return "doubled."

    def register(check=check, wrong=Misconception("2 *", "3 *", "three"),
                 also=DOUBLED):
        monkeypatch.setitem(machinery.REGISTRY, "E99.1", Exercise(
            check, ("a hint",), (wrong,) * 4, (also, DOUBLED)))

    monkeypatch.setattr(machinery, "import_module", lambda *_: None)
    register()
    return register


def test_a_good_exercise_passes(doubling):
    prove("E99.1", SOLUTION, "double", "")


@pytest.mark.parametrize("solution, complaint", [
    (SOLUTION.replace("  # yours", ""), "the stub"),  # already right
    (SOLUTION.replace("2 *", "2 +"), "the solution"),
    (SOLUTION.replace("2 * number", "number + number"), "nothing to break"),
])
def test_a_broken_exercise_is_rejected(doubling, solution, complaint):
    with pytest.raises(AssertionError, match=complaint):
        prove("E99.1", solution, "double", "")


def test_a_check_that_takes_everything_is_rejected(doubling):
    async def credulous(answer):
        await answer(3)
        return "fine."

    doubling(check=credulous)
    with pytest.raises(AssertionError, match="3 \\*"):
        prove("E99.1", SOLUTION, "double", "")


def test_a_right_answer_that_is_refused_is_noticed(doubling):
    doubling(also="async def double(number):\n    return 6 + number")
    with pytest.raises(AssertionError, match="6 \\+ number"):
        prove("E99.1", SOLUTION, "double", "")


def test_too_few_answers_are_noticed(doubling):
    exercise = machinery.REGISTRY["E99.1"]
    for few in (replace(exercise, misconceptions=exercise.misconceptions[1:]),
                replace(exercise, also_right=())):
        machinery.REGISTRY["E99.1"] = few
        with pytest.raises(AssertionError, match="too few"):
            prove("E99.1", SOLUTION, "double", "")


@pytest.mark.parametrize("leave", [
    "kept.append(await engine.connect())",
    "await engine.connect()",
    "kept.append(engine); await engine.connect()",
])
@pytest.mark.parametrize("driver", ["aiosqlite", "asyncpg"])
def test_a_connection_left_open_is_noticed(server, doubling, leave, driver):
    async def check(answer):
        async with machinery.shop(
                postgres_database if driver == "asyncpg" else sqlite,
                driver) as engine:
            await answer(engine)
        return "fine."

    doubling(check=check)
    answer = {}
    exec(f"kept = []\nasync def answer(engine):\n    {leave}", answer)

    async def both():
        async def decent(engine):
            async with engine.connect():
                pass

        return (await machinery.check("E99.1", answer["answer"]),
                await machinery.check("E99.1", decent))

    left, right = asyncio.run(both())
    assert left.state == "not yet" and "still checked out" in left.message
    assert right.state == "correct"


def test_a_coroutine_that_is_not_awaited_is_named(doubling):
    async def forgets(number):
        asyncio.sleep(0)
        return 6

    gc.collect()  # what other tests have left complains now
    with warnings.catch_warnings(record=True) as caught:
        result = asyncio.run(machinery.check("E99.1", forgets))
    assert result.state == "not yet" and "sleep() is called" in result.message
    assert caught == []  # nothing appears below another cell


@pytest.mark.parametrize("use", [
    "pending.scalar()", "asyncio.run(pending)", "1 / 0"])
def test_an_error_beside_it_does_not_hide_a_warning(doubling, use):
    """What the traceback holds is let go before anybody hears of it."""
    answer = {"asyncio": asyncio}
    exec("async def answer(number):\n"
         f"    pending = asyncio.sleep(0)\n    {use}", answer)

    gc.collect()  # what other tests have left complains now
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = asyncio.run(machinery.check("E99.1", answer["answer"]))
        gc.collect()
    assert result.state == "not yet" and "it raises" in result.message
    assert caught == []


def test_a_check_leaves_no_listener():
    for name, listener in (("checkout", leftovers._checkout),
                           ("checkin", leftovers._gone)):
        assert not event.contains(Pool, name, listener)


def test_a_misconception_with_the_wrong_message_is_rejected(doubling):
    doubling(wrong=Misconception("2 *", "3 *", "something else"))
    with pytest.raises(AssertionError, match="three is not doubled"):
        prove("E99.1", SOLUTION, "double", "")


def test_an_answer_that_hangs_comes_back(doubling, monkeypatch):
    monkeypatch.setattr(machinery, "SECONDS", 0.05)

    async def hangs(number):
        await asyncio.Event().wait()

    result = asyncio.run(machinery.check("E99.1", hangs))
    assert result.state == "not yet" and "0.05 seconds" in result.message


def test_hints_come_one_after_another(capsys):
    for _ in range(5):
        machinery.hint("E08.1")
    said = capsys.readouterr().out.splitlines()
    hints = machinery.find("E08.1").hints
    assert len(set(said)) == len(hints) and said[-1].endswith(hints[-1])


def test_unknown_exercise():
    with pytest.raises(KeyError, match="no exercise 'E08.9'"):
        machinery.find("E08.9")
    with pytest.raises(KeyError, match="no exercise 'nonsense'"):
        machinery.hint("nonsense")


@pytest.mark.parametrize("error, told", [
    (NotImplementedError("Operator 'getitem' is not supported"),
     "it raises NotImplementedError: Operator"),
    (TimeoutError("of the pool"), "it raises TimeoutError: of the pool"),
])
def test_an_error_of_the_answer_is_told_as_it_is(doubling, error, told):
    async def raises(number):
        raise error

    result = asyncio.run(machinery.check("E99.1", raises))
    assert result.state == "not yet" and told in result.message
