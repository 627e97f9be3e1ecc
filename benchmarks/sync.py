"""How far apart pictures and joints are in an observation: processes, DDS, jitter, drops.

    python -m benchmarks.sync [--quick] [--json out.json]

Cameras of 640x480 at 30 Hz and a driver of joint states are processes of their own; their stamps
are true but for the cameras' unknown offset, what they send arrives up to some ms late (5 ms
deviation), and a share of it is lost. The offset is estimated first, from a rendered recording
(`vla_ros.sync.latency`), and written into a robot file for `observation_sync`, which runs as a
process. All joints accelerate all the time.

A residual is the distance of the observed joints from the true ones over their speed at that
instant, in [ms]. Beside it, for the same pictures and joint states: what the synchroniser makes of
them alone, each handed to it when it was sent (so a starved machine shows as the difference); the
sample nearest in stamps (approximate-time matching), with the estimated offset removed and without;
and the latest one that had been sent when the picture was. These are spared the way through DDS.

Latency counts from when the anchor's picture was sent, and from when the last part was: an
observation is ready then, and what follows is the node's own time and the way there and back.
"""

from __future__ import annotations

import heapq
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import psutil
import yaml

from benchmarks.harness import Goal, arguments, at_least, at_most, finish
from benchmarks.latency import film_of, motion, ns
from vla_ros.policy.contract import contract_of
from vla_ros.robot.load import load_robot, robot_path
from vla_ros.robot.observer import Observer
from vla_ros.sim.model import HOME
from vla_ros.spaces import Observation as Seen
from vla_ros.sync import Frame
from vla_ros.sync.latency import Latency, estimate_latency

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


def drive(what: str, case: Case, seconds: float, log: Path) -> None:
    """A driver: the cameras, or the joints. Writes down when what was sent."""
    import rclpy
    from sensor_msgs.msg import Image, JointState

    from vla_ros.ros import qos
    from vla_ros.ros.conversions.image import image_msg
    from vla_ros.ros.conversions.joints import joint_state_msg

    count = case.cameras if what == "cameras" else 0
    period_ns = FRAME_NS if what == "cameras" else 1_000_000_000 // case.hz
    rclpy.init()
    node = rclpy.create_node(f"{what}_driver")
    dice = np.random.default_rng(7 if what == "cameras" else 8)
    topics = [f"/camera/c{i}/image_raw" for i in range(count)] if what == "cameras" else []
    images = [node.create_publisher(Image, topic, qos.profile("image")) for topic in topics]
    joints = None if topics else node.create_publisher(JointState, "/joint_states", 50)
    noise = dice.integers(0, 255, (8, 480, 640, 3), dtype=np.uint8) if topics else None
    while not all(p.get_subscription_count() for p in (*images, *([joints] if joints else []))):
        time.sleep(0.02)
    start = (time.time_ns() // period_ns + 1) * period_ns
    queue: list[tuple[int, int, int]] = []
    for tick in range(int(seconds * 1e9 / period_ns)):
        for stream in range(max(count, 1)):
            if dice.random() >= case.drops:
                late = int(np.clip(dice.normal(BASE_NS, JITTER_NS), 0, 2 * BASE_NS))
                late += OFFSET_NS if topics else 0
                heapq.heappush(queue, (start + tick * period_ns + late, tick, stream))
    sent: list[tuple[int, int, int]] = []
    while queue:
        due, tick, stream = heapq.heappop(queue)
        t_ns = start + tick * period_ns
        if noise is not None:
            picture = image_msg(noise[tick % len(noise)], t_ns + OFFSET_NS, f"c{stream}")
        else:
            positions = dict(zip(JOINTS, joints_at(np.array([t_ns]))[0].tolist(), strict=True))
            speeds = dict(zip(JOINTS, velocities_at(t_ns).tolist(), strict=True))
            state = joint_state_msg(t_ns, positions, speeds if case.velocities else None)
        time.sleep(max(0, due - time.time_ns()) * 1e-9)
        sent.append((t_ns, time.time_ns(), stream))
        if joints is None:
            images[stream].publish(picture)
        else:
            joints.publish(state)
    np.save(log, np.array(sent, dtype=np.int64))
    node.destroy_node()
    rclpy.shutdown()


def estimate_offset(seconds: float) -> Latency:
    """The cameras' offset from a rendered recording of another motion."""
    dice = np.random.default_rng(0)
    fine = np.arange(0, seconds + 1.0, 0.002)
    q = motion(dice, fine)
    captured = np.arange(0.5, seconds, 1 / 30)
    pictures = film_of(0, fine, q, captured, ("wrist",))["wrist"]
    return estimate_latency(ns(captured) + OFFSET_NS, pictures, ns(fine), q)


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


def run(case: Case, seconds: float, latency_ns: int) -> dict[str, Any]:
    """One case: start the processes, listen, compare."""
    from vla_ros_msgs.msg import Observation

    from vla_ros.cli.processes import Command, ProcessGraph
    from vla_ros.ros import qos
    from vla_ros.ros.conversions.times import ns_from
    from vla_ros.ros.domain import isolated_domain
    from vla_ros.ros.task_client import TaskClient

    heard: list[tuple[int, int, list[float]]] = []
    lines: list[str] = []
    with tempfile.TemporaryDirectory() as name, isolated_domain() as environment:
        os.environ.update(environment)
        folder = Path(name)
        robot = robot_file(folder, case, latency_ns)
        node = [sys.executable, "-m", "vla_ros.nodes.observation_sync", "--ros-args"]
        commands = [
            Command(
                label="sync", argv=(*node, "-p", f"robot:={robot}"), environment={}, required=False
            )
        ]
        drivers = ("cameras", "joints")
        for what in drivers:
            words = json.dumps([what, asdict(case), seconds, str(folder / f"{what}.npy")])
            argv = (sys.executable, "-m", "benchmarks.sync", "--drive", words)
            commands.append(Command(label=what, argv=argv, environment={}, required=False))
        logs = [folder / f"{what}.npy" for what in drivers]
        with (
            TaskClient() as client,
            ProcessGraph(commands, lambda _, line: lines.append(line)) as graph,
        ):

            def take(message: Any) -> None:
                t_ns = ns_from(message.header.stamp)
                heard.append((t_ns, time.time_ns(), list(message.state)))

            profile = qos.profile("observation")
            client.node.create_subscription(Observation, "observation", take, profile)
            if not client.spin_until(lambda: bool(heard), 30.0):
                raise RuntimeError("no observation in 30 s: " + " | ".join(lines[-5:]))
            process, began = psutil.Process(graph.pid("sync")), time.monotonic()
            before = sum(process.cpu_times()[:2])
            client.spin_until(lambda: time.monotonic() - began > seconds / 2, seconds)
            cpu = (sum(process.cpu_times()[:2]) - before) / (time.monotonic() - began)
            client.spin_until(lambda: all(log.exists() for log in logs), seconds + 30.0)
            time.sleep(0.5)  # the last bytes of the files
            pictures, states = (np.load(log) for log in logs)
        alone = replayed(robot, case, pictures, states)
    return {
        "case": case.words,
        "obs/s": round(len(heard) / seconds, 1),
        **compared(heard, alone, pictures, states, latency_ns),
        "CPU [%]": round(100 * cpu, 1),
    }


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


def main() -> int:
    """Run it."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--drive", help="one driver, as this benchmark starts it")
    options = parser.parse_args()
    if options.drive:
        what, case, seconds, log = json.loads(options.drive)
        drive(what, Case(**case), seconds, Path(log))
        return 0
    found = estimate_offset(30.0 if options.quick else 60.0)
    full = [Case(hz=hz, drops=drops) for drops in (0.1, 0.3, 0.5) for hz in (50, 125, 500)]
    wide = Case(hz=50, drops=0.5, velocities=False)
    narrow = replace(wide, tolerance_s=0.05)
    growth = [Case(cameras=count, hz=125, drops=0.1) for count in (1, 2, 4)]
    cases = [full[2], full[6]] if options.quick else [*full, wide, narrow, *growth]
    seconds = 6.0 if options.quick else 15.0
    rows = {case: run(case, seconds, found.latency_ns) for case in cases}

    off_ms = abs(found.latency_ns - OFFSET_NS) * 1e-6
    goals: list[Goal] = [at_most("error of the estimated offset [ms]", 5.0, off_ms)]
    for case in (case for case in cases if case != wide):
        bound, got = (1.0 if case.hz == 500 else 3.0), rows[case]["ours"]
        goals.append(at_most(f"residual p95 [ms], {case.words}", bound, got))
    if not options.quick:
        one, four = (rows[growth[k]]["ready p50"] for k in (0, 2))
        words = "what one more camera adds to ready to observation, p50 [ms]"
        goals.append(at_most(words, 5.0, (four - one) / 3))
    rates = [rows[c]["obs/s"] / (1 - c.drops) for c in cases if c != narrow]
    words = "observations a second, of 30 pictures a second, worst case"
    goals.append(at_least(words, 24.0, min(rates)))
    title = "pictures and joints over DDS: p95 of the residual, and latency [ms];"
    return finish(title, list(rows.values()), goals, options.json)


if __name__ == "__main__":
    sys.exit(main())
