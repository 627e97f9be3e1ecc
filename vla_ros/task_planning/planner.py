"""A planner that needs no model: a closed vocabulary, whole tasks by name, and no guessing.

An instruction must consist of known words only and name objects and places unmistakably; anything
else is refused before the policy sees it, in words that say what would have been understood.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vla_ros.task_planning.machine import Subtask
from vla_ros.task_planning.protocol import Refused, TaskPlan
from vla_ros.task_planning.vocabulary import Target, Vocabulary, words_of

MAX_WORDS = 40
MAX_LETTERS = 400
RELATIVES = ("that", "which")


@dataclass(frozen=True)
class _Mention:
    adjective: str
    noun: str | None


class VocabularyPlanner:
    """Understands the instructions of one task file.

    Args:
        vocabulary: The task file.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        polite = frozenset(vocabulary.politeness.split())
        self._polite = polite
        self._phrases = {
            tuple(w for w in words_of(phrase) if w not in polite): task
            for task in vocabulary.tasks
            for phrase in (task.name, *task.phrases)
        }

    def plan(self, instruction: str) -> TaskPlan | Refused:
        """Split an instruction into subtasks, or refuse it in words."""
        targets = self._targets(instruction)
        if isinstance(targets, Refused):
            return targets
        subtasks = tuple(self._subtask(target) for target in targets)
        return TaskPlan(instruction=instruction, subtasks=subtasks)

    def check(self, subtasks: Sequence[str]) -> TaskPlan | Refused:
        """Validate an operator's own plan: one subtask from each sentence."""
        if not subtasks:
            return Refused(message="the plan is empty; give at least one subtask")
        checked: list[Subtask] = []
        for number, sentence in enumerate(subtasks, start=1):
            targets = self._targets(sentence)
            if isinstance(targets, Refused):
                return Refused(
                    message=f"subtask {number}: {targets.message}", nearest=targets.nearest
                )
            if len(targets) != 1:
                return Refused(
                    message=f"subtask {number} '{sentence}' means {len(targets)} steps, expected "
                    "one; give each its own sentence"
                )
            checked.append(Subtask(text=sentence, prompt=self._vocabulary.fill(targets[0])))
        return TaskPlan(instruction="; ".join(subtasks), subtasks=tuple(checked))

    def parse(self, prompt: str) -> tuple[str, str] | None:
        """Object and place of a sentence that names exactly one of each, canonical or not.

        Returns:
            Their names in the task file, or None where it is not understood.
        """
        targets = self._targets(prompt)
        if isinstance(targets, Refused) or len(targets) != 1:
            return None
        return targets[0].object, targets[0].place

    def _subtask(self, target: Target) -> Subtask:
        return Subtask(
            text=f"{target.object} to {target.place}", prompt=self._vocabulary.fill(target)
        )

    def _targets(self, text: str) -> tuple[Target, ...] | Refused:
        words = words_of(text)
        if not words:
            return Refused(message=f"the instruction is empty; {self._example}")
        if len(words) > MAX_WORDS or len(text) > MAX_LETTERS:
            return Refused(
                message=f"the instruction has {len(words)} words and {len(text)} letters, expected "
                f"at most {MAX_WORDS} and {MAX_LETTERS}; give one task at a time"
            )
        unknown = next((word for word in words if word not in self._vocabulary.known), None)
        if unknown is not None:
            return self._unknown(unknown)
        task = self._phrases.get(tuple(w for w in words if w not in self._polite))
        if task is not None:
            return task.steps
        return self._pairs(self._mentions(words))

    def _mentions(self, words: list[str]) -> list[_Mention]:
        """Each adjective with its noun: after it, or before it as in "the cube that is red"."""
        vocabulary, mentions = self._vocabulary, []
        nouns = {**vocabulary.noun_of, **dict.fromkeys(vocabulary.anaphora)}
        for index, word in enumerate(words):
            if word not in vocabulary.adjectives:
                continue
            noun: str | None = None
            following = words[index + 1] if index + 1 < len(words) else ""
            if following in nouns:
                noun = nouns[following]
            elif index >= 3 and words[index - 1] == "is" and words[index - 2] in RELATIVES:
                noun = nouns.get(words[index - 3])
            mentions.append(_Mention(word, noun))
        return mentions

    def _pairs(self, mentions: list[_Mention]) -> tuple[Target, ...] | Refused:
        named = self._named(mentions)
        if isinstance(named, Refused):
            return named
        objects, targets = list[str](), list[Target]()
        if len(named) == 2 and named[0][0] == "place":
            named.reverse()
        for kind, name in named:
            if kind == "object":
                objects.append(name)
                continue
            if not objects:
                return self._unclear()
            targets += [Target(object=thing, place=name) for thing in objects]
            objects.clear()
        moved = [target.object for target in targets]
        if objects or not targets or len(set(moved)) != len(moved):
            return self._unclear()
        return tuple(targets)

    def _named(self, mentions: list[_Mention]) -> list[tuple[str, str]] | Refused:
        """Kind and name of each mention; the one without a noun is what the other is not."""
        vocabulary = self._vocabulary
        if len(mentions) == 2 and [m.noun for m in mentions].count(None) == 1:
            spoken = next(m.noun for m in mentions if m.noun is not None)
            names = vocabulary.places if spoken in vocabulary.object_nouns else vocabulary.objects
            other = names[0].split()[1]
            mentions = [_Mention(m.adjective, m.noun or other) for m in mentions]
        named: list[tuple[str, str]] = []
        for mention in mentions:
            if mention.noun is None:
                return self._unclear()
            kind = "object" if mention.noun in vocabulary.object_nouns else "place"
            names = vocabulary.objects if kind == "object" else vocabulary.places
            name = f"{mention.adjective} {mention.noun}"
            if name not in names:
                return Refused(
                    message=f"there is no {name} here; known: {', '.join(names)}", nearest=names
                )
            named.append((kind, name))
        return named

    def _unknown(self, word: str) -> Refused:
        nearest = self._vocabulary.nearest(word)
        if nearest:
            hint = f"did you mean {', '.join(repr(near) for near in nearest)}?"
        else:
            hint = self._example
        return Refused(message=f"the word '{word}' is unknown; {hint}", nearest=nearest)

    def _unclear(self) -> Refused:
        return Refused(
            message=f"it is not clear what should go where; {self._example}",
            nearest=(*self._vocabulary.objects, *self._vocabulary.places),
        )

    @property
    def _example(self) -> str:
        vocabulary = self._vocabulary
        target = Target(object=vocabulary.objects[0], place=vocabulary.places[0])
        tasks = "".join(f", or '{task.name}'" for task in vocabulary.tasks)
        return (
            f"say for example '{vocabulary.fill(target)}'{tasks}. "
            f"Objects: {', '.join(vocabulary.objects)}. Places: {', '.join(vocabulary.places)}"
        )
