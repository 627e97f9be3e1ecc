"""Rotation forms undo each other, and agree with first principles."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vla_ros.spaces import rotations as rot

UNIT = st.floats(-1, 1, allow_nan=False)
QUATERNIONS = (
    st.tuples(UNIT, UNIT, UNIT, UNIT)
    .map(lambda q: np.array(q))
    .filter(lambda q: np.linalg.norm(q) > 1e-3)
)
VECTORS = st.tuples(*[st.floats(-4, 4)] * 3).map(lambda v: np.array(v))
FORMS: list[rot.RotationForm] = ["quaternion", "rpy", "axis_angle", "sixd"]


def turn(axis: str, angle: float) -> npt.NDArray[np.float64]:
    """A rotation about one axis, written out."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array(
        {
            "x": [[1, 0, 0], [0, c, -s], [0, s, c]],
            "y": [[c, 0, s], [0, 1, 0], [-s, 0, c]],
            "z": [[c, -s, 0], [s, c, 0], [0, 0, 1]],
        }[axis]
    )


def exponential(vector: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """exp of the cross-product matrix by squaring of its series: no formula of the module."""
    x, y, z = vector / 1024
    k = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    m = np.eye(3) + k + k @ k / 2 + k @ k @ k / 6
    for _ in range(10):
        m = m @ m
    return m


@pytest.mark.parametrize("form", FORMS)
@given(q=QUATERNIONS)
def test_every_form_survives_the_way_to_the_matrix_and_back(
    form: rot.RotationForm, q: npt.NDArray[np.float64]
) -> None:
    matrix = rot.matrix_from_quaternion(q)
    values = rot.from_matrix(form, matrix)
    assert values.shape == (rot.ROTATION_SIZES[form],)
    np.testing.assert_allclose(rot.matrix_from(form, values), matrix, atol=1e-12)


@given(q=QUATERNIONS)
def test_a_matrix_from_a_quaternion_is_a_rotation(q: npt.NDArray[np.float64]) -> None:
    matrix = rot.matrix_from_quaternion(q)
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(matrix) == pytest.approx(1.0)


@given(q=QUATERNIONS)
def test_a_quaternion_comes_back_with_a_positive_w(q: npt.NDArray[np.float64]) -> None:
    back = rot.quaternion_from_matrix(rot.matrix_from_quaternion(q))
    assert back[3] >= 0
    unit = q / np.linalg.norm(q)
    assert min(np.abs(back - unit).max(), np.abs(back + unit).max()) < 1e-7


@given(vector=VECTORS)
def test_a_rotation_vector_is_the_exponential_of_its_cross_product(
    vector: npt.NDArray[np.float64],
) -> None:
    np.testing.assert_allclose(
        rot.matrix_from("axis_angle", vector), exponential(vector), atol=1e-6
    )


@given(vector=VECTORS)
def test_a_rotation_vector_comes_back_at_most_half_a_turn_long(
    vector: npt.NDArray[np.float64],
) -> None:
    back = rot.from_matrix("axis_angle", rot.matrix_from("axis_angle", vector))
    assert np.linalg.norm(back) <= np.pi + 1e-9
    if np.linalg.norm(vector) < 3.1:
        np.testing.assert_allclose(back, vector, atol=1e-6)


@given(angles=VECTORS)
def test_rpy_turns_about_the_fixed_axes_in_the_order_x_y_z(
    angles: npt.NDArray[np.float64],
) -> None:
    roll, pitch, yaw = angles
    expected = turn("z", yaw) @ turn("y", pitch) @ turn("x", roll)
    np.testing.assert_allclose(rot.matrix_from("rpy", angles), expected, atol=1e-12)


@pytest.mark.parametrize("pitch", [np.pi / 2, -np.pi / 2])
@given(roll=st.floats(-3, 3), yaw=st.floats(-3, 3))
def test_rpy_describes_the_same_rotation_at_gimbal_lock(
    pitch: float, roll: float, yaw: float
) -> None:
    matrix = rot.matrix_from("rpy", [roll, pitch, yaw])
    back = rot.from_matrix("rpy", matrix)
    np.testing.assert_allclose(rot.matrix_from("rpy", back), matrix, atol=1e-12)


@given(a=QUATERNIONS, b=QUATERNIONS, t=st.floats(0, 1))
def test_slerp_turns_at_constant_speed_along_the_shortest_way(
    a: npt.NDArray[np.float64], b: npt.NDArray[np.float64], t: float
) -> None:
    whole = rot.angle_between(a, b)
    at = rot.slerp(a, b, t)
    assert np.linalg.norm(at) == pytest.approx(1.0)
    assert whole <= np.pi + 1e-9
    assert rot.angle_between(a, at) == pytest.approx(t * whole, abs=1e-6)
    assert rot.angle_between(at, b) == pytest.approx((1 - t) * whole, abs=1e-6)


@given(a=QUATERNIONS, b=QUATERNIONS, t=st.floats(0, 1))
def test_slerp_does_not_care_for_the_sign_of_a_quaternion(
    a: npt.NDArray[np.float64], b: npt.NDArray[np.float64], t: float
) -> None:
    if rot.angle_between(a, b) < np.pi - 1e-3:  # half a turn has two shortest ways
        np.testing.assert_allclose(
            rot.angle_between(rot.slerp(-a, b, t), rot.slerp(a, b, t)), 0, atol=1e-7
        )


@pytest.mark.parametrize("form", FORMS)
def test_forms_are_vectorised_over_leading_axes(form: rot.RotationForm) -> None:
    q = np.random.default_rng(0).normal(size=(2, 3, 4))
    matrices = rot.matrix_from_quaternion(q)
    values = rot.from_matrix(form, matrices)
    assert values.shape == (2, 3, rot.ROTATION_SIZES[form])
    one = rot.from_matrix(form, matrices[1, 2])
    np.testing.assert_allclose(values[1, 2], one)
    np.testing.assert_allclose(rot.matrix_from(form, values), matrices, atol=1e-7)


def test_slerp_is_vectorised_over_the_fraction() -> None:
    way = rot.slerp([0, 0, 0, 1], [0, 0, 1, 0], np.linspace(0, 1, 5))
    np.testing.assert_allclose(rot.angle_between([0, 0, 0, 1], way), np.linspace(0, np.pi, 5))


@given(q=QUATERNIONS, scale=st.floats(0.1, 10))
def test_six_numbers_are_made_orthonormal(q: npt.NDArray[np.float64], scale: float) -> None:
    matrix = rot.matrix_from_quaternion(q)
    sloppy = rot.sixd_from_matrix(matrix) * scale
    sloppy[3:] += 0.3 * sloppy[:3]
    np.testing.assert_allclose(rot.matrix_from_sixd(sloppy), matrix, atol=1e-9)


@pytest.mark.parametrize(
    ("form", "values", "said"),
    [
        ("quaternion", [0, 0, 0, 0], "expected length 1"),
        ("quaternion", [0, 0, 1], "expected 4 numbers"),
        ("rpy", [0, np.nan, 0], "expected finite numbers"),
        ("sixd", [1, 0, 0, 2, 0, 0], "both are parallel"),
        ("euler", [0, 0, 0], "expected one of quaternion"),
    ],
)
def test_numbers_that_are_no_rotation_are_refused_in_words(
    form: rot.RotationForm, values: list[float], said: str
) -> None:
    with pytest.raises(rot.RotationError, match=said):
        rot.matrix_from(form, values)
