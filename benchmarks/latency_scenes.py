"""Drawn films of moving arms, for the calibration of latencies: cheap, and unlike the simulator.

A camera in the hand sees a textured plane go by, turn and come nearer; a camera at the side sees a
chain of links before a textured wall. Both have an exposure, sensor noise and light that flickers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from vla_ros.spaces.images import small_grey

FloatArray = npt.NDArray[np.float64]
Picture = npt.NDArray[np.float32]

HEIGHT, WIDTH = 120, 160
SHARES = (-0.29, 0.29)  # of the exposure, about its middle: Gauss and Legendre


@dataclass(frozen=True, kw_only=True)
class Film:
    """A recording with its truth.

    Attributes:
        kind: what was filmed, how, in words.
        captured: middles of the exposures [s]. Shape (N,).
        pictures: ``small_grey`` of each. Shape (N, 30, 40).
        times: instants of q [s], fine. Shape (M,).
        q: joint positions [rad]. Shape (M, S).
    """

    kind: str
    captured: FloatArray
    pictures: npt.NDArray[np.float32]
    times: FloatArray
    q: FloatArray


def moves(dice: np.random.Generator, t: FloatArray, joints: int, at_once: int) -> FloatArray:
    """Minimum-jerk moves of some joints at once to random places, some with a pause. (N, S)."""
    out = np.empty((len(t), joints))
    pose, now = np.zeros(joints), float(t[0])
    while now <= t[-1]:
        goal = pose.copy()
        moved = dice.permutation(joints)[:at_once]
        goal[moved] = dice.uniform(-0.5, 0.5, len(moved))
        takes, pause = dice.uniform(0.4, 1.5), dice.choice([0.0, dice.uniform(0.0, 0.5)])
        share = np.clip((t - now) / takes, 0, 1)
        smooth = 10 * share**3 - 15 * share**4 + 6 * share**5
        part = (t >= now) & (t <= now + takes + pause)
        out[part] = (pose + smooth[:, None] * (goal - pose))[part]
        pose, now = goal, now + takes + pause
    return out


def sway(dice: np.random.Generator, t: FloatArray, joints: int) -> FloatArray:
    """All joints sway, each to five slow rhythms, and never stop. Shape (N, S)."""
    out = np.zeros((len(t), joints))
    for column in out.T:
        for _ in range(5):
            column += np.sin(2 * np.pi * dice.uniform(0.05, 0.8) * t + dice.uniform(0, 2 * np.pi))
    return 0.17 * out


def drawn(seed: int, seconds: float, motion: str) -> Film:
    """One film; all that is not named is drawn by lot."""
    dice = np.random.default_rng(seed)
    joints, view = int(dice.integers(3, 8)), ("hand", "side")[int(dice.integers(2))]
    times = np.arange(0, seconds + 1, 0.002)
    if motion == "sway":
        q = sway(dice, times, joints)
    else:
        q = moves(dice, times, joints, joints if motion == "together" else 1)
    rate, exposure = float(dice.choice([15, 20, 30, 30, 60])), dice.uniform(0, 0.02)
    captured = np.arange(0.5, seconds, 1 / rate)
    captured = captured[dice.random(len(captured)) >= 0.1]
    show = (hand_camera if view == "hand" else side_camera)(dice, joints)
    flicker, noise = dice.uniform(0, 0.03), dice.uniform(0.1, 1)
    instants = captured[:, None] + exposure * np.array(SHARES)
    poses = np.stack([np.interp(instants, times, column) for column in q.T], axis=-1)
    pictures = []
    for t, during in zip(captured, poses, strict=True):
        light = 1 + flicker * (np.sin(2.3 * t) + 0.5 * dice.normal())
        picture = np.clip(light * sum(show(pose) for pose in during) / len(SHARES), 0, 255)
        small = small_grey(cv2.cvtColor(picture.astype(np.uint8), cv2.COLOR_GRAY2RGB))
        pictures.append(small + dice.normal(0, noise, small.shape).astype(np.float32))
    if unseen := int(dice.choice([0, 0, 6])):
        q = np.hstack((q, moves(dice, times, unseen, unseen)))
    kind = f"{view}, {motion}, {joints} joints, {rate:.0f} Hz" + (", two arms" if unseen else "")
    return Film(kind=kind, captured=captured, pictures=np.array(pictures), times=times, q=q)


def hand_camera(dice: np.random.Generator, joints: int) -> Callable[[FloatArray], Picture]:
    """A plane seen from the hand; some pixels show the fingers, which stand still."""
    plane = texture(dice, 600, 800)
    ways = dice.normal(0, 1, (4, joints)) * np.array([[60.0], [60.0], [0.5], [0.3]])
    ways /= np.sqrt(joints)
    left = int(dice.integers(0, 130))

    def show(q: FloatArray) -> Picture:
        right, down, turn, near = ways @ q
        seen = cv2.getRotationMatrix2D((400, 300), np.degrees(turn), np.exp(near))
        seen[:, 2] += (right - 400 + WIDTH / 2, down - 300 + HEIGHT / 2)
        picture = cv2.warpAffine(plane, seen, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT)
        picture[60:, left : left + 20] = 30
        return np.asarray(picture, dtype=np.float32)

    return show


def side_camera(dice: np.random.Generator, joints: int) -> Callable[[FloatArray], Picture]:
    """A planar chain of links of two colours each before a wall."""
    wall = texture(dice, HEIGHT, WIDTH)
    lengths, halves = dice.uniform(12, 30, joints), dice.uniform(4, 8, joints)
    lengths *= 90 / lengths.sum()
    colours, base = dice.uniform(20, 235, (joints, 2)), np.array([dice.uniform(50, 110), 10.0])
    gears = dice.uniform(0.6, 1.2, joints) * dice.choice([-1, 1], joints)

    def show(q: FloatArray) -> Picture:
        picture, start = wall.copy(), base
        headings = np.pi / 2 + np.cumsum(gears * q)
        for heading, length, half, colour in zip(headings, lengths, halves, colours, strict=True):
            along = np.array([np.cos(heading), np.sin(heading)])
            side = half * np.array([-along[1], along[0]])
            ends = [start + share * length * along for share in (0, 0.5, 1)]
            for a, b, grey in zip(ends[:-1], ends[1:], colour, strict=True):
                corners = np.round(16 * np.array([a + side, b + side, b - side, a - side]))
                cv2.fillConvexPoly(picture, corners.astype(np.int32), float(grey), cv2.LINE_AA, 4)
            start = ends[-1]
        return picture

    return show


def texture(dice: np.random.Generator, height: int, width: int) -> Picture:
    """Blotches of several sizes and some rectangles. Shape (height, width)."""
    out = np.zeros((height, width), np.float32)
    for size, depth in ((4, 0.4), (12, 0.7), (40, 1.0)):
        few = dice.normal(0, depth, (height // size + 2, width // size + 2)).astype(np.float32)
        out += cv2.resize(few, (width, height), interpolation=cv2.INTER_CUBIC)
    for _ in range(25):
        x, y = (int(v) for v in dice.integers(0, (width, height)))
        w, h = (int(v) for v in dice.integers(8, 60, 2))
        cv2.rectangle(out, (x, y), (x + w, y + h), float(dice.normal(0, 2)), -1)
    return np.clip(120 + 35 * out, 0, 255)
