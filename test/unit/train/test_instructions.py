"""The grammar of instructions."""

from __future__ import annotations

import numpy as np
import pytest

from vla_ros.policy.processors import ProcessorError, WordTokenizer, split_words
from vla_ros.train import instructions
from vla_ros.train.instructions import HELD_OUT, TRAINING, canonical, disturbed, instruction

COLOURS = ("red", "green", "blue", "yellow")
VOCABULARY = instructions.vocabulary(COLOURS)
NOUNS = {*TRAINING.cube, *TRAINING.bin}


def test_equal_seeds_give_equal_sentences() -> None:
    said = [instruction(np.random.default_rng(7), "red", "blue") for _ in range(2)]
    assert said[0] == said[1]


def test_no_held_out_template_or_word_is_in_training() -> None:
    assert not set(HELD_OUT.templates) & set(TRAINING.templates)
    new = {"brick", "piece", "basket", "crate", "stick", "toss", "deposit", "within", "fetch"}
    assert not new & set(VOCABULARY)


def test_every_training_word_is_in_the_vocabulary() -> None:
    rng = np.random.default_rng(0)
    for _ in range(2000):
        words = set(split_words(instruction(rng, "red", "blue")))
        assert words <= set(VOCABULARY)


def test_every_held_out_sentence_keeps_its_colours_and_a_known_noun() -> None:
    rng = np.random.default_rng(0)
    for _ in range(2000):
        words = split_words(instruction(rng, "green", "yellow", held_out=True))
        assert {"green", "yellow"} <= set(words)
        assert NOUNS & set(words)


def test_disturbances_keep_colours_in_order_and_a_noun() -> None:
    rng = np.random.default_rng(0)
    changed = 0
    for _ in range(2000):
        clean = instruction(rng, "blue", "yellow")
        text = disturbed(rng, clean, frozenset(COLOURS))
        colours = [w for w in split_words(text) if w in COLOURS]
        assert colours == [w for w in split_words(clean) if w in COLOURS]
        assert NOUNS & set(split_words(text))
        changed += text != clean
    assert changed > 500


def test_the_tokenizer_marks_unknown_words_and_refuses_what_it_cannot_read() -> None:
    tokenizer = WordTokenizer(VOCABULARY, 12)
    numbers = tokenizer.encode("Put the mauve CUBE, please!")
    assert list(numbers[:5] == 1) == [False, False, True, False, False]
    assert numbers[5:].sum() == 0
    assert list(tokenizer.encode("<unk> cube")[:2]) == [1, numbers[3]]
    for text, words in (("", "0 words"), ("put " * 13, "13 words"), ("abc def", "none of")):
        with pytest.raises(ProcessorError, match=words):
            tokenizer.encode(text)


def test_the_canonical_sentence_is_a_training_sentence() -> None:
    assert canonical("red", "blue") == "put the red cube in the blue bin"
    assert set(canonical("red", "blue").split()) <= set(VOCABULARY)
