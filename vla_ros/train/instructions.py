"""Words for a target: the grammar ``tabletop-1``.

Training draws a template, synonyms and small disturbances (fillers, unknown words, missing
articles). Some templates and synonyms are never used in training: ``held_out=True`` draws from
those, to measure whether a policy listens or has learned sentences by heart. In a held-out
instruction the colours and at least one of the two nouns are words of the training vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vla_ros.policy.processors import split_words

NAME = "tabletop-1"

UNKNOWN_WORD = "<unk>"


@dataclass(frozen=True, kw_only=True)
class Lexicon:
    """Templates and synonyms of one split. Slots: {put} {get} {c} {cube} {in} {b} {bin}."""

    templates: tuple[str, ...]
    put: tuple[str, ...]
    get: tuple[str, ...]
    cube: tuple[str, ...]
    into: tuple[str, ...]
    bin: tuple[str, ...]


TRAINING = Lexicon(
    templates=(
        "{put} the {c} {cube} {in} the {b} {bin}",
        "{put} the {c} {cube} {in} the {b} {bin} please",
        "please {put} the {c} {cube} {in} the {b} {bin}",
        "could you {put} the {c} {cube} {in} the {b} {bin}",
        "can you please {put} the {c} {cube} {in} the {b} {bin}",
        "i want you to {put} the {c} {cube} {in} the {b} {bin}",
        "now {put} the {c} {cube} {in} the {b} {bin}",
        "robot {put} the {c} {cube} {in} the {b} {bin}",
        "{in} the {b} {bin} {put} the {c} {cube}",
        "{in} the {b} {bin} please {put} the {c} {cube}",
        "{in} the {b} {bin} goes the {c} {cube}",
        "{get} the {c} {cube} and {put} it {in} the {b} {bin}",
        "{get} the {c} {cube} then {put} it {in} the {b} {bin}",
        "please {get} the {c} {cube} and {put} it {in} the {b} {bin}",
        "{get} the {c} {cube} for the {b} {bin}",
        "for the {b} {bin} {get} the {c} {cube}",
        "the {c} {cube} goes {in} the {b} {bin}",
        "the {c} {cube} belongs {in} the {b} {bin}",
        "the {c} {cube} should go {in} the {b} {bin}",
        "the {c} {cube} {in} the {b} {bin}",
        "{c} {cube} {in} {b} {bin}",
        "{c} {cube} {b} {bin}",
        "the {b} {bin} should hold the {c} {cube}",
        "the {b} {bin} gets the {c} {cube}",
        "the {b} {bin} needs the {c} {cube}",
        "{b} {bin} {c} {cube}",
        "fill the {b} {bin} with the {c} {cube}",
        "use the {b} {bin} for the {c} {cube}",
        "make sure the {c} {cube} is {in} the {b} {bin}",
        "make sure the {b} {bin} has the {c} {cube}",
        "i want the {c} {cube} {in} the {b} {bin}",
        "i want the {b} {bin} to have the {c} {cube}",
        "{put} the {c} one {in} the {b} {bin}",
        "{put} the {c} {cube} {in} the {b} one",
        "{put} the {cube} that is {c} {in} the {bin} that is {b}",
        "take the {c} {cube} to the {b} {bin}",
        "{put} {in} the {b} {bin} the {c} {cube}",
        "we need the {c} {cube} {in} the {b} {bin}",
    ),
    put=("put", "place", "move", "drop", "set", "bring", "lay"),
    get=("pick up", "grab", "take", "pick", "lift", "get"),
    cube=("cube", "block", "object", "item", "thing"),
    into=("in", "into", "inside", "to", "on"),
    bin=("bin", "tray", "container", "tub", "bucket"),
)

HELD_OUT = Lexicon(
    templates=(
        "would you be so kind as to {put} the {c} {cube} {in} the {b} {bin}",
        "let the {c} {cube} rest {in} the {b} {bin}",
        "{get} the {c} {cube} , carry it over and leave it {in} the {b} {bin}",
        "the {b} {bin} is where the {c} {cube} belongs",
        "next up is the {c} {cube} , which lives {in} the {b} {bin}",
        "take care of the {c} {cube} by putting it {in} the {b} {bin}",
        "{in} the {b} {bin} we would like to see the {c} {cube}",
        "your job is to {put} the {c} {cube} {in} the {b} {bin}",
        "have the {b} {bin} hold the {c} {cube} for me",
        "help me {get} that {c} {cube} and {put} it {in} that {b} {bin}",
    ),
    put=("stick", "toss", "transfer", "deposit", "stow", "put", "place"),
    get=("fetch", "collect", "seize", "grab"),
    cube=("brick", "piece", "cube", "block"),
    into=("within", "in", "into"),
    bin=("basket", "crate", "bin", "tray"),
)

_FILLERS = ("please", "now", "robot", "then", "so", "just", UNKNOWN_WORD)


def canonical(cube: str, place: str) -> str:
    """The plain sentence for a colour of cube and a colour of bin."""
    return f"put the {cube} cube in the {place} bin"


def vocabulary(colours: tuple[str, ...]) -> tuple[str, ...]:
    """Return every word that training can use, in a fixed order."""
    lists = (TRAINING.templates, TRAINING.put, TRAINING.get, TRAINING.cube, TRAINING.into)
    words: dict[str, None] = dict.fromkeys(colours)
    for text in (*(t for texts in lists for t in texts), *TRAINING.bin, *_FILLERS):
        slotless = " ".join(part for part in text.split() if not part.startswith("{"))
        words.update(dict.fromkeys(w for w in split_words(slotless) if w != UNKNOWN_WORD))
    return tuple(words)


def instruction(rng: np.random.Generator, cube: str, place: str, *, held_out: bool = False) -> str:
    """Draw a clean sentence.

    Args:
        rng: Source of chance; equal states give equal sentences.
        cube: Colour of the asked cube.
        place: Colour of the asked bin.
        held_out: Draw from the wordings that training never uses.
    """
    lexicon = HELD_OUT if held_out else TRAINING

    def one(options: tuple[str, ...]) -> str:
        return options[rng.integers(len(options))]

    cube_noun, bin_noun = one(lexicon.cube), one(lexicon.bin)
    if held_out and cube_noun not in TRAINING.cube and bin_noun not in TRAINING.bin:
        bin_noun = "bin"
    slots = {"put": one(lexicon.put), "get": one(lexicon.get), "in": one(lexicon.into)}
    return one(lexicon.templates).format(c=cube, cube=cube_noun, b=place, bin=bin_noun, **slots)


def disturbed(rng: np.random.Generator, text: str, colours: frozenset[str]) -> str:
    """Disturb a training sentence the way unknown people do, without changing what it asks.

    Words that are not colours become unknown at a rate drawn for the sentence, but one of the two
    nouns stays; articles go missing; fillers and runs of unknown words come in between, never
    between a colour and the noun behind it.
    """
    rate = rng.choice((0.0, 0.15, 0.4))
    words = split_words(text)
    nouns = [i for i, word in enumerate(words) if word in TRAINING.cube or word in TRAINING.bin]
    kept = nouns[rng.integers(len(nouns))] if nouns else -1
    out: list[str] = []
    gaps = rng.integers(0, len(words) + 1, size=rng.integers(0, 3)) if rate else ()
    for index, word in enumerate(words):
        after_colour = index > 0 and words[index - 1] in colours
        if not after_colour:
            for _ in range(int(np.count_nonzero(np.equal(gaps, index)))):
                filler = _FILLERS[rng.integers(len(_FILLERS))]
                out += [filler] * (rng.integers(1, 4) if filler == UNKNOWN_WORD else 1)
        noun_rate = 0.5 * rate if index in nouns else rate
        if word == "the" and rng.random() < 0.1:
            continue
        if word not in colours and index != kept and rng.random() < noun_rate:
            word = UNKNOWN_WORD
        out.append(word)
    return " ".join(out)
