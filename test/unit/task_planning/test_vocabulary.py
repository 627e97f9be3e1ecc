"""Instructions of the tabletop task file: understood, or refused with the reason."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vla_ros.task_planning import (
    Refused,
    TaskFileError,
    TaskPlan,
    VocabularyPlanner,
    load_vocabulary,
)

TABLETOP = Path(__file__).parents[3] / "config" / "tasks" / "tabletop.yaml"
VOCABULARY = load_vocabulary(TABLETOP)
PLANNER = VocabularyPlanner(VOCABULARY)


@pytest.mark.parametrize("thing", VOCABULARY.objects)
@pytest.mark.parametrize("place", VOCABULARY.places)
def test_the_policys_own_sentence_is_understood_as_itself(thing, place):
    sentence = f"put the {thing} in the {place}"
    assert PLANNER.parse(sentence) == (thing, place)
    plan = PLANNER.plan(sentence)
    assert [subtask.prompt for subtask in plan.subtasks] == [sentence]


@pytest.mark.parametrize(
    "sentence",
    [
        "Please place the red block into the blue tray!",
        "could you move the red one to the blue bin",
        "In the blue bin goes the red cube.",
        "put the red cube in the blue one",
        "put the cube that is red in the bin that is blue",
        "the blue bin gets the red cube",
        "pick up the red cube and put it in the blue container",
        "red cube blue bin",
        "take care of the red brick by putting it in the blue basket",
        "put red in the blue bin",
    ],
)
def test_paraphrases_mean_the_same(sentence):
    assert PLANNER.parse(sentence) == ("red cube", "blue bin")


@pytest.mark.parametrize(
    "sentence",
    ["clear the table", "Could you please clean up the table?", "tidy up", "put everything away"],
)
def test_a_whole_task_becomes_its_steps(sentence):
    prompts = [subtask.prompt for subtask in PLANNER.plan(sentence).subtasks]
    assert prompts == [
        "put the red cube in the blue bin",
        "put the green cube in the yellow bin",
        "put the blue cube in the yellow bin",
    ]


def test_two_orders_in_one_sentence_are_two_subtasks():
    plan = PLANNER.plan("put the red cube in the blue bin and the green cube in the yellow bin")
    assert [subtask.prompt for subtask in plan.subtasks] == [
        "put the red cube in the blue bin",
        "put the green cube in the yellow bin",
    ]
    plan = PLANNER.plan("put the red cube and the blue cube in the yellow bin")
    assert [subtask.text for subtask in plan.subtasks] == [
        "red cube to yellow bin",
        "blue cube to yellow bin",
    ]


@pytest.mark.parametrize(
    ("sentence", "word", "near"),
    [
        ("put the rde cube in the blue bin", "rde", "red"),
        ("put the red cube in the bleu bin", "bleu", "blue"),
        ("put the gren cube in the yellow bin", "gren", "green"),
        ("put the red cbue in the blue bin", "cbue", "cube"),
    ],
)
def test_a_typo_is_refused_with_the_nearest_known_word(sentence, word, near):
    refused = PLANNER.plan(sentence)
    assert isinstance(refused, Refused)
    assert f"'{word}' is unknown" in refused.message
    assert near in refused.nearest
    assert repr(near) in refused.message


@pytest.mark.parametrize(
    "sentence",
    [
        "put the banana in the blue bin",
        "do not put the red cube in the blue bin",
        "don't put the red cube in the blue bin",
        "put the red cube anywhere except in the blue bin",
        "take the red cube out of the blue bin",
        "put everything except the red cube in the blue bin",
        "put the red cube from the yellow bin in the blue bin",
    ],
)
def test_what_an_unknown_word_could_turn_around_is_refused(sentence):
    refused = PLANNER.plan(sentence)
    assert isinstance(refused, Refused)
    assert "is unknown" in refused.message


@pytest.mark.parametrize(
    ("sentence", "text"),
    [
        ("put the yellow cube in the blue bin", "no yellow cube"),
        ("put the red cube in the green bin", "no green bin"),
        ("put the red cube", "not clear"),
        ("put it in the blue bin", "not clear"),
        ("put the red cube in the green cube", "not clear"),
        ("put blue in red", "not clear"),
        ("put the red cube in the blue bin and the red cube in the yellow bin", "not clear"),
        ("please", "not clear"),
        ("", "empty"),
        (" ?! ", "empty"),
        ("put the red cube in the blue bin " * 10, "at most 40"),
        ("the " * 39 + "a" * 1000, "letters"),
    ],
)
def test_what_is_not_clear_is_refused_with_an_example(sentence, text):
    refused = PLANNER.plan(sentence)
    assert isinstance(refused, Refused)
    assert text in refused.message


@given(st.text(max_size=60))
def test_any_text_is_planned_or_refused_in_words(text):
    answer = PLANNER.plan(text)
    if isinstance(answer, Refused):
        assert answer.message
    else:
        assert answer.subtasks


def test_an_operators_plan_is_validated_the_same_way():
    plan = PLANNER.check(["put the red block in the blue tray", "green cube yellow bin"])
    assert isinstance(plan, TaskPlan)
    assert plan.subtasks[0].prompt == "put the red cube in the blue bin"
    refused = PLANNER.check(["red cube blue bin", "put the rde cube in the blue bin"])
    assert isinstance(refused, Refused)
    assert refused.message.startswith("subtask 2")
    assert isinstance(PLANNER.check(["clear the table"]), Refused)
    assert isinstance(PLANNER.check([]), Refused)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ("nme: x", "nme"),
        ("prompt: put it", "lacks {object}"),
        ("objects: [cube]", "adjective and a noun"),
        ("nouns: {bin: [bin]}", "no entry in nouns"),
        (
            "tasks: [{name: t, phrases: [t], steps: [{object: pink cube, place: blue bin}]}]",
            "'pink cube' is no object",
        ),
        ("tasks: {", "no YAML"),
    ],
)
def test_a_task_file_with_a_mistake_is_refused(tmp_path, change, text):
    key = change.split(":")[0]
    kept = [
        "name: x",
        'prompt: "put the {object} in the {place}"',
        "objects: [red cube]",
        "places: [blue bin]",
        "nouns: {cube: [cube], bin: [bin]}",
    ]
    lines = [line for line in kept if not line.startswith(f"{key}:")]
    path = tmp_path / "task.yaml"
    path.write_text("\n".join([*lines, change]))
    with pytest.raises(TaskFileError, match=text):
        load_vocabulary(path)


def test_a_task_file_that_is_not_there_is_said():
    with pytest.raises(TaskFileError, match="cannot be read"):
        load_vocabulary(Path("nowhere.yaml"))
