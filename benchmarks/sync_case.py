"""What the synchronisation's benchmark sends, and how far off its observations are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import yaml

from vla_ros.policy.contract import contract_of
from vla_ros.robot.load import load_robot, robot_path
from vla_ros.robot.senses.observer import Observer
from vla_ros.sim.model import HOME
from vla_ros.spaces import Observation as Seen
from vla_ros.sync import Frame

FloatArray = npt.NDArray[np.float64]

JOINTS = tuple(f"joint{i}" for i in range(1, 7))
OFFSET_NS = 63_000_000
FRAME_NS = 1_000_000_000 // 30
JITTER_NS, BASE_NS = 5_000_000, 10_000_000
AMPLITUDE, RATE = 0.25, 2 * np.pi * 0.5  # rad, rad/s: up to 0.8 rad/s and 2.5 rad/s^2 a joint
PHASES = np.arange(6) * np.pi / 3


WAIT_NS = 50_000_000
"""The observation waits so long for a picture that may still come: the robot file's default."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """What is sent.

    Attributes:
        cameras: How many.
        hz: Rate of the joint states.
        drops: Share of all messages that is lost.
        velocities: Whether joint states carry velocities.
        tolerance_s: Of the joint states.
    """

    cameras: int = 3
    hz: int
    drops: float
    velocities: bool = True
    tolerance_s: float = 0.2

    @property
    def words(self) -> str:
        """For a line of the table."""
        return (
            f"{self.cameras} cameras, {self.hz} Hz, {self.drops:.0%} drops"
            + ("" if self.velocities else ", no velocities")
            + ("" if self.tolerance_s == 0.2 else f", tolerance_s {self.tolerance_s:g}")
        )


def joints_at(t_ns: npt.NDArray[np.int64]) -> FloatArray:
    """The true joints. Shape (N,) -> (N, 6)."""
    angle = RATE * (t_ns % 2_000_000_000)[:, None] * 1e-9 + PHASES
    return HOME + AMPLITUDE * np.sin(angle)


def velocities_at(t_ns: int) -> FloatArray:
    """Their velocities. Shape (6,)."""
    return AMPLITUDE * RATE * np.cos(RATE * (t_ns % 2_000_000_000) * 1e-9 + PHASES)


SPEED = AMPLITUDE * RATE * np.sqrt(3.0)
"""Length of the six joints' velocity [rad/s]: constant, for their phases are a sixth of a turn."""


def schedule(what: str, case: Case, seconds: float, start_ns: int) -> list[tuple[int, int, int]]:
    """When the cameras or the joints send what: instant of sending, capture, camera; sorted."""
    count = case.cameras if what == "cameras" else 0
    period_ns = FRAME_NS if count else 1_000_000_000 // case.hz
    dice = np.random.default_rng(7 if count else 8)
    start_ns = (start_ns // period_ns + 1) * period_ns
    sent = []
    for t_ns in range(start_ns, start_ns + int(seconds * 1e9), period_ns):
        for stream in range(max(count, 1)):
            if dice.random() >= case.drops:
                late = int(np.clip(dice.normal(BASE_NS, JITTER_NS), 0, 2 * BASE_NS))
                sent.append((t_ns + late + (OFFSET_NS if count else 0), t_ns, stream))
    return sorted(sent)


def robot_file(folder: Path, case: Case, latency_ns: int) -> Path:
    """The simulated arm with these cameras."""
    robot = yaml.safe_load(robot_path("sim_arm").read_text(encoding="utf-8"))
    common = {k: v for k, v in robot["cameras"][0].items() if k not in ("key", "topic", "crop")}
    common |= {"raw_width": 640, "raw_height": 480, "rate_hz": 30, "latency_s": latency_ns * 1e-9}
    common |= {"tolerance_s": 0.2}
    robot["cameras"] = [
        {**common, "key": f"c{i}", "topic": f"/camera/c{i}/image_raw"} for i in range(case.cameras)
    ]
    robot["anchor"] = "c0"
    robot["state"] |= {"joints": list(JOINTS), "tolerance_s": case.tolerance_s, "wait_s": 0.15}
    path = folder / "robot.yaml"
    path.write_text(yaml.safe_dump(robot), encoding="utf-8")
    return path


def replayed(
    robot: Path, case: Case, pictures: npt.NDArray[np.int64], states: npt.NDArray[np.int64]
) -> list[tuple[int, list[float]]]:
    """Instant and joints of the observations of the same messages, handed over when sent."""
    spec = load_robot(str(robot))
    observer = Observer(spec, contract_of("expert", spec.camera_keys))
    frame = np.zeros((1, 1, 3), dtype=np.uint8)
    events = [(sent, f"c{camera}", t) for t, sent, camera in pictures.tolist()]
    events += [(sent, "", t) for t, sent, _ in states.tolist()]
    seen = []
    for now, key, t_ns in sorted(events):
        if key:
            signature = (float(now), 0.0, 0.0)
            observer.push_decoded(key, t_ns + OFFSET_NS, Frame(frame, signature), now)
        else:
            positions = joints_at(np.array([t_ns]))[0]
            speeds = velocities_at(t_ns) if case.velocities else ()
            observer.push_joint_arrays(t_ns, JOINTS, positions, now, velocities=speeds)
        result = observer.observe(now)
        if isinstance(result, Seen):
            seen.append((result.t_obs_ns, result.state.tolist()))
    return seen


def compared(
    heard: list[tuple[int, int, list[float]]],
    alone: list[tuple[int, list[float]]],
    pictures: npt.NDArray[np.int64],
    states: npt.NDArray[np.int64],
    latency_ns: int,
) -> dict[str, Any]:
    """Residuals and latency of what was heard.

    Args:
        heard: instant, arrival and joints of each observation.
        alone: instant and joints of each observation of the synchroniser alone.
        pictures: capture, sending and camera of each. Shape (N, 3).
        states: likewise. Shape (M, 3).
        latency_ns: what the robot file says.
    """
    anchors = pictures[pictures[:, 2] == 0]
    sent_ns = dict(zip(anchors[:, 0].tolist(), anchors[:, 1].tolist(), strict=True))
    states = states[np.argsort(states[:, 0])]
    by_sending = states[np.argsort(states[:, 1])]
    newest = np.maximum.accumulate(by_sending[:, 0])  # a loop keeps the newest stamp
    names = ("ours", "all", "alone", "near", "raw", "latest", "wait", "node")
    rows: dict[str, list[float]] = {name: [] for name in names}
    rows["alone"] = [_off_ms(np.array(values), t_obs) for t_obs, values in alone]
    ready_ns = _ready(pictures)
    for t_obs, arrived, values in heard:
        capture = t_obs + latency_ns - OFFSET_NS
        if capture not in sent_ns:
            raise RuntimeError(f"an observation at {t_obs} ns belongs to no picture that was sent")
        at = int(np.searchsorted(by_sending[:, 1], sent_ns[capture], side="right")) - 1
        if at < 0:
            continue  # a loop would have had no state yet
        paired = {
            "near": (_nearest(states[:, 0], t_obs), t_obs),
            "raw": (_nearest(states[:, 0], capture + OFFSET_NS), capture),
            "latest": (int(newest[at]), capture),
        }
        rows["ours"].append(_off_ms(np.array(values), t_obs))
        rows["all"].append(_off_ms(np.array(values), capture))
        for key, (used, meant) in paired.items():
            rows[key].append(_off_ms(joints_at(np.array([used]))[0], meant))
        rows["wait"].append((arrived - sent_ns[capture]) * 1e-6)
        rows["node"].append((arrived - ready_ns(capture, sent_ns[capture])) * 1e-6)
    p95 = {key: round(float(np.percentile(values, 95)), 2) for key, values in rows.items()}
    return {
        "ours": p95["ours"],
        "with offset": p95["all"],
        "alone": p95["alone"],
        "nearest": p95["near"],
        "offset unknown": p95["raw"],
        "latest": p95["latest"],
        "anchor p50": round(float(np.median(rows["wait"])), 1),
        "anchor p95": p95["wait"],
        "ready p50": round(float(np.median(rows["node"])), 1),
        "ready p95": p95["node"],
    }


def _off_ms(values: FloatArray, t_ns: int) -> float:
    """How far joints are from where they were at an instant, in time of motion [ms]."""
    return float(np.linalg.norm(values - joints_at(np.array([t_ns]))[0])) / SPEED * 1e3


def _ready(pictures: npt.NDArray[np.int64]) -> Callable[[int, int], int]:
    """When the last picture of an observation had been sent, by its capture and its anchor's."""
    cameras = [pictures[pictures[:, 2] == camera] for camera in np.unique(pictures[:, 2])]

    def ready(capture: int, anchor_sent: int) -> int:
        last = anchor_sent
        for sent in cameras:
            enough = sent[sent[:, 0] >= capture, 1]
            last = max(last, min(int(enough.min(initial=2**62)), anchor_sent + WAIT_NS))
        return last

    return ready


def _nearest(stamps: npt.NDArray[np.int64], t_ns: int) -> int:
    return int(stamps[np.argmin(np.abs(stamps - t_ns))])
