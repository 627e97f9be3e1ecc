"""The words of a task file: every one known by name, the others refused with their neighbours."""

from __future__ import annotations

import difflib
import re
from functools import cached_property
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from vla_ros.errors import VlaError, mistakes

Name = Annotated[str, Field(min_length=1)]

_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")


class TaskFileError(VlaError):
    """A task file that cannot be read or contradicts itself."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Target(_Strict):
    """One object and the place it goes to, by their names in the task file."""

    object: Name
    place: Name


class Task(_Strict):
    """A whole task: how people call it, and its steps."""

    name: Name
    phrases: Annotated[tuple[Name, ...], Field(min_length=1)]
    steps: Annotated[tuple[Target, ...], Field(min_length=1)]


class Vocabulary(_Strict):
    """What people may say, and what the policy is told.

    Attributes:
        name: Of the vocabulary.
        prompt: The policy's sentence, with the slots ``{object}`` and ``{place}``.
        objects: Names of things to move: an adjective and a noun each.
        places: Names of where they go: an adjective and a noun each.
        nouns: For each noun of those names all words for it.
        anaphora: Words that stand for the noun a sentence lacks ("the blue one").
        words: Words without a meaning of their own, separated by spaces.
        politeness: Words left out before a phrase is compared, separated by spaces.
        tasks: Whole tasks by name.
    """

    name: Name
    prompt: Name
    objects: Annotated[tuple[Name, ...], Field(min_length=1)]
    places: Annotated[tuple[Name, ...], Field(min_length=1)]
    nouns: dict[Name, tuple[Name, ...]]
    anaphora: tuple[Name, ...] = ()
    words: str = ""
    politeness: str = ""
    tasks: tuple[Task, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> Vocabulary:
        problems = [
            f"'{name}' must be an adjective and a noun"
            for name in (*self.objects, *self.places)
            if len(name.split()) != 2
        ]
        if problems:
            raise ValueError("; ".join(problems))
        for slot in ("{object}", "{place}"):
            if slot not in self.prompt:
                problems.append(f"the prompt '{self.prompt}' lacks {slot}")
        problems += [
            f"the noun of '{name}' has no entry in nouns"
            for name in (*self.objects, *self.places)
            if name.split()[1] not in self.nouns
        ]
        both = {n.split()[1] for n in self.objects} & {n.split()[1] for n in self.places}
        problems += [f"noun '{noun}' names objects and places; use two nouns" for noun in both]
        for task in self.tasks:
            for step in task.steps:
                if step.object not in self.objects:
                    problems.append(f"task '{task.name}': '{step.object}' is no object")
                if step.place not in self.places:
                    problems.append(f"task '{task.name}': '{step.place}' is no place")
        if problems:
            raise ValueError("; ".join(problems))
        return self

    @cached_property
    def adjectives(self) -> frozenset[str]:
        """First words of the names."""
        return frozenset(name.split()[0] for name in (*self.objects, *self.places))

    @cached_property
    def noun_of(self) -> dict[str, str]:
        """For each word for a noun the noun it means."""
        return {word: noun for noun, words in self.nouns.items() for word in (noun, *words)}

    @cached_property
    def object_nouns(self) -> frozenset[str]:
        """Nouns of things to move."""
        return frozenset(name.split()[1] for name in self.objects)

    @cached_property
    def known(self) -> frozenset[str]:
        """Every word that an instruction may hold."""
        phrases = " ".join(phrase for task in self.tasks for phrase in (*task.phrases, task.name))
        texts = (phrases, self.words, self.politeness)
        return frozenset(
            {
                *self.adjectives,
                *self.noun_of,
                *self.anaphora,
                *(w for t in texts for w in t.split()),
            }
        )

    def nearest(self, word: str) -> tuple[str, ...]:
        """Known words that look like ``word``, best first; those with a meaning come first."""
        telling = [*self.adjectives, *self.noun_of]
        close = difflib.get_close_matches(word, sorted(telling), n=3, cutoff=0.6)
        rest = difflib.get_close_matches(word, sorted(self.known), n=3, cutoff=0.7)
        return tuple(dict.fromkeys((*close, *rest)))[:3]

    def fill(self, target: Target) -> str:
        """The policy's sentence for a target."""
        return self.prompt.format(object=target.object, place=target.place)


def words_of(text: str) -> list[str]:
    """The words of a text, lower case, without punctuation."""
    return _WORD.findall(text.lower())


def load_vocabulary(path: Path) -> Vocabulary:
    """Read a task file.

    Raises:
        TaskFileError: No such file, no YAML, an unknown key, or names that do not fit together.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
        return Vocabulary.model_validate(values)
    except OSError as error:
        raise TaskFileError(f"task file {path} cannot be read: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise TaskFileError(f"task file {path} is no YAML: {error}") from error
    except ValidationError as error:
        raise TaskFileError(f"task file {path}: {mistakes(error)}") from error
