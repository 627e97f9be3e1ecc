from __future__ import annotations

import numpy as np
import pytest

from vla_ros.spaces import Slice, VectorSpace, VectorSpaceError

SPACE = VectorSpace.of(
    ("base", "velocity", ["x", "yaw"]),
    ("arm", "position", ["a", "b", "c"]),
    ("gripper", "binary", ["g"]),
)


def test_slices_follow_each_other_and_names_keep_their_order() -> None:
    assert SPACE.dim == 6
    assert SPACE.names == ("x", "yaw", "a", "b", "c", "g")
    assert SPACE.kinds == ("velocity",) * 2 + ("position",) * 3 + ("binary",)
    row = np.arange(6)
    assert row[SPACE.slice("arm").indices].tolist() == [2, 3, 4]
    assert SPACE.index("c") == 4


def test_a_mask_selects_by_kind() -> None:
    assert SPACE.mask("position").tolist() == [False, False, True, True, True, False]
    assert SPACE.mask("velocity", "binary").tolist() == [True, True, False, False, False, True]
    assert not SPACE.mask("effort").any()


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(VectorSpaceError, match="expected one of x, yaw, a"):
        SPACE.index("z")
    with pytest.raises(VectorSpaceError, match="expected one of base, arm"):
        SPACE.slice("leg")


@pytest.mark.parametrize(
    ("slices", "words"),
    [
        ([Slice(name="a", kind="position", names=("q",), start=1)], "starts at 1, expected 0"),
        ([Slice(name="a", kind="position", names=(), start=0)], "no elements"),
        ([Slice(name="a", kind="angle", names=("q",), start=0)], "kind 'angle' is unknown"),
        (
            [
                Slice(name="a", kind="position", names=("q",), start=0),
                Slice(name="b", kind="position", names=("q",), start=1),
            ],
            "element names repeat: q",
        ),
        (
            [
                Slice(name="a", kind="position", names=("q",), start=0),
                Slice(name="a", kind="position", names=("r",), start=1),
            ],
            "slice names repeat: a",
        ),
    ],
)
def test_a_contradictory_description_is_refused(slices: list[Slice], words: str) -> None:
    with pytest.raises(VectorSpaceError, match=words):
        VectorSpace(slices=tuple(slices))
