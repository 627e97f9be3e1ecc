"""How far apart pictures and joints are in an observation: processes, DDS, jitter, drops.

    python -m benchmarks.sync [--quick] [--json out.json]

Cameras of 640x480 at 30 Hz and a driver of joint states are processes of their own; their stamps
are true but for the cameras' unknown offset, what they send arrives up to some ms late (5 ms
deviation), and a share of it is lost. The offset is estimated first, from a rendered recording
(`vla_ros.sync.latency`), and written into a robot file for `observation_sync`, which runs as a
process. All joints accelerate all the time.

A residual is the distance of the observed joints from the true ones over their speed at that
instant, in [ms]. Beside it, for the same pictures and joint states: the sample nearest in stamps
(approximate-time matching), with the estimated offset removed and without, and the latest one that
had been sent when the picture was. The two matchers are spared the way through DDS.
"""

from __future__ import annotations

import heapq
import itertools
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import psutil
import yaml

from benchmarks.harness import Goal, arguments, at_least, at_most, finish
from benchmarks.latency import film_of, motion, ns
from vla_ros.robot.load import robot_path
from vla_ros.sim.model import HOME
from vla_ros.sync.latency import Latency, estimate_latency, picture_change

FloatArray = npt.NDArray[np.float64]

JOINTS = tuple(f"joint{i}" for i in range(1, 7))
OFFSET_NS = 63_000_000
FRAME_NS = 1_000_000_000 // 30
JITTER_NS, BASE_NS = 5_000_000, 10_000_000
AMPLITUDE, RATE = 0.25, 2 * np.pi * 0.5  # rad, rad/s: up to 0.8 rad/s and 2.5 rad/s^2 a joint
PHASES = np.arange(6) * np.pi / 3


def joints_at(t_ns: npt.NDArray[np.int64]) -> FloatArray:
    """The true joints. Shape (N,) -> (N, 6)."""
    angle = RATE * (t_ns % 2_000_000_000)[:, None] * 1e-9 + PHASES
    return HOME + AMPLITUDE * np.sin(angle)


SPEED = AMPLITUDE * RATE * np.sqrt(3.0)
"""Length of the six joints' velocity [rad/s]: constant, for their phases are a sixth of a turn."""


def drive(what: str, count: int, period_ns: int, drops: float, seconds: float, log: Path) -> None:
    """A driver: the cameras, or the joints. Writes down when what was sent."""
    import rclpy
    from sensor_msgs.msg import Image, JointState

    from vla_ros.ros import qos
    from vla_ros.ros.conversions.image import image_msg
    from vla_ros.ros.conversions.joints import joint_state_msg

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
            if dice.random() >= drops:
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
            positions = joints_at(np.array([t_ns]))[0]
            state = joint_state_msg(t_ns, dict(zip(JOINTS, positions.tolist(), strict=True)))
        time.sleep(max(0, due - time.time_ns()) * 1e-9)
        sent.append((t_ns, time.time_ns(), stream))
        if joints is None:
            images[stream].publish(picture)
        else:
            joints.publish(state)
    np.save(log, np.array(sent, dtype=np.int64))
    node.destroy_node()
    rclpy.shutdown()


def estimate_offset() -> Latency:
    """The cameras' offset from one rendered minute of another motion."""
    dice = np.random.default_rng(0)
    fine = np.arange(0, 61.0, 0.002)
    q = motion(dice, fine)
    captured = np.arange(0.5, 60.0, 1 / 30)
    pictures = film_of(0, fine, q, captured, ("wrist",))["wrist"]
    changes = np.array([picture_change(a, b) for a, b in itertools.pairwise(pictures)])
    return estimate_latency(ns(captured) + OFFSET_NS, changes, ns(fine), q)


def robot_file(folder: Path, cameras: int, latency_ns: int, drops: float) -> Path:
    """The simulated arm with these cameras; tolerances that bear the drops."""
    robot = yaml.safe_load(robot_path("sim_arm").read_text(encoding="utf-8"))
    common = {k: v for k, v in robot["cameras"][0].items() if k not in ("key", "topic", "crop")}
    common |= {"raw_width": 640, "raw_height": 480, "rate_hz": 30, "latency_s": latency_ns * 1e-9}
    common |= {"tolerance_s": 0.2}
    robot["cameras"] = [
        {**common, "key": f"c{i}", "topic": f"/camera/c{i}/image_raw"} for i in range(cameras)
    ]
    robot["anchor"] = "c0"
    robot["state"] |= {"joints": list(JOINTS), "tolerance_s": 0.1 + 0.2 * drops, "wait_s": 0.15}
    path = folder / "robot.yaml"
    path.write_text(yaml.safe_dump(robot), encoding="utf-8")
    return path


def run(cameras: int, hz: int, drops: float, seconds: float, latency_ns: int) -> dict[str, Any]:
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
        robot = robot_file(folder, cameras, latency_ns, drops)
        node = [sys.executable, "-m", "vla_ros.nodes.observation_sync", "--ros-args"]
        commands = [
            Command(
                label="sync", argv=(*node, "-p", f"robot:={robot}"), environment={}, required=False
            )
        ]
        drivers = {"cameras": (cameras, FRAME_NS), "joints": (0, 1_000_000_000 // hz)}
        for what, (count, period) in drivers.items():
            words = json.dumps([what, count, period, drops, seconds, str(folder / f"{what}.npy")])
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
    return {
        "cameras": cameras,
        "joints [Hz]": hz,
        "drops [%]": round(drops * 100),
        **compared(heard, pictures, states, latency_ns),
        "CPU [%]": round(100 * cpu, 1),
    }


def compared(
    heard: list[tuple[int, int, list[float]]],
    pictures: npt.NDArray[np.int64],
    states: npt.NDArray[np.int64],
    latency_ns: int,
) -> dict[str, Any]:
    """Residuals and latency of what was heard.

    Args:
        heard: instant, arrival and joints of each observation.
        pictures: capture, sending and camera of each. Shape (N, 3).
        states: likewise. Shape (M, 3).
        latency_ns: what the robot file says.
    """
    anchors = pictures[pictures[:, 2] == 0]
    sent_ns = dict(zip(anchors[:, 0].tolist(), anchors[:, 1].tolist(), strict=True))
    states = states[np.argsort(states[:, 0])]
    by_sending = states[np.argsort(states[:, 1])]
    newest = np.maximum.accumulate(by_sending[:, 0])  # a loop keeps the newest stamp
    rows: dict[str, list[float]] = {
        "ours": [],
        "all": [],
        "near": [],
        "raw": [],
        "latest": [],
        "wait": [],
    }
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
        truth = joints_at(np.array([t_obs]))[0]
        then = joints_at(np.array([capture]))[0]
        rows["ours"].append(float(np.linalg.norm(np.array(values) - truth)) / SPEED * 1e3)
        rows["all"].append(float(np.linalg.norm(np.array(values) - then)) / SPEED * 1e3)
        for key, (used, meant) in paired.items():
            off = joints_at(np.array([used])) - joints_at(np.array([meant]))
            rows[key].append(float(np.linalg.norm(off)) / SPEED * 1e3)
        rows["wait"].append((arrived - sent_ns[capture]) * 1e-6)
    p95 = {key: round(float(np.percentile(values, 95)), 2) for key, values in rows.items()}
    return {
        "observations": len(heard),
        "residual p95 [ms]": p95["ours"],
        "and the offset's error": p95["all"],
        "nearest": p95["near"],
        "nearest, offset unknown": p95["raw"],
        "latest value": p95["latest"],
        "picture sent to observation p50 [ms]": round(float(np.median(rows["wait"])), 1),
        "p95 [ms]": p95["wait"],
    }


def _nearest(stamps: npt.NDArray[np.int64], t_ns: int) -> int:
    return int(stamps[np.argmin(np.abs(stamps - t_ns))])


def main() -> int:
    """Run it."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--drive", help="one driver, as this benchmark starts it")
    options = parser.parse_args()
    if options.drive:
        what, count, period, drops, seconds, log = json.loads(options.drive)
        drive(what, count, period, drops, seconds, Path(log))
        return 0
    found = estimate_offset()
    cases = [(3, 50, 0.1), (3, 125, 0.1), (3, 500, 0.1)]
    if not options.quick:
        cases += [(3, hz, drops) for drops in (0.3, 0.5) for hz in (50, 125, 500)]
        cases += [(1, 125, 0.1), (2, 125, 0.1), (4, 125, 0.1)]
    seconds = 6.0 if options.quick else 12.0
    rows = [run(*case, seconds, found.latency_ns) for case in cases]
    off_ms = abs(found.latency_ns - OFFSET_NS) * 1e-6
    goals: list[Goal] = [at_most("error of the estimated offset [ms]", 5.0, off_ms)]
    for row in rows:
        case = f"{row['cameras']} cameras, {row['joints [Hz]']} Hz, {row['drops [%]']} % drops"
        bound = 1.0 if row["joints [Hz]"] == 500 else 3.0
        goals += [at_most(f"residual p95 [ms], {case}", bound, row["residual p95 [ms]"])]
    least = min(row["observations"] / seconds for row in rows)
    goals += [at_least("observations a second, worst case", 10.0, least)]
    return finish("pictures and joints over DDS", rows, goals, options.json)


if __name__ == "__main__":
    sys.exit(main())
