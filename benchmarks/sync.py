"""How far apart pictures and joints are in an observation: processes, DDS, jitter, drops.

    python -m benchmarks.sync [--quick] [--alone] [--json out.json]

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
`--alone` has no processes and no DDS at all: the same messages at their due times, on any machine.

Latency counts from when the anchor's picture was sent, and from when the last part was: an
observation is ready then, and what follows is the node's own time and the way there and back.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks.harness import Goal, arguments, at_least, at_most, finish
from benchmarks.latency import film_of, motion, ns
from benchmarks.sync_case import (
    FRAME_NS,
    JOINTS,
    OFFSET_NS,
    Case,
    compared,
    joints_at,
    replayed,
    robot_file,
    schedule,
    velocities_at,
)
from vla_ros.sync.latency import Latency, estimate_latency


def drive(what: str, case: Case, seconds: float, log: Path) -> None:
    """A driver: the cameras, or the joints. Writes down when what was sent."""
    import rclpy
    from sensor_msgs.msg import Image, JointState

    from vla_ros.ros import qos
    from vla_ros.ros.conversions.image import image_msg
    from vla_ros.ros.conversions.joints import joint_state_msg

    rclpy.init()
    node = rclpy.create_node(f"{what}_driver")
    topics = [f"/camera/c{i}/image_raw" for i in range(case.cameras)] if what == "cameras" else []
    images = [node.create_publisher(Image, topic, qos.profile("image")) for topic in topics]
    joints = None if topics else node.create_publisher(JointState, "/joint_states", 50)
    dice = np.random.default_rng(9)
    noise = dice.integers(0, 255, (8, 480, 640, 3), dtype=np.uint8) if topics else None
    while not all(p.get_subscription_count() for p in (*images, *([joints] if joints else []))):
        time.sleep(0.02)
    sent: list[tuple[int, int, int]] = []
    for due, t_ns, stream in schedule(what, case, seconds, time.time_ns()):
        if noise is not None:
            rgb = noise[t_ns // FRAME_NS % len(noise)]
            rgb.flat[:8] = np.frombuffer(t_ns.to_bytes(8, "little"), np.uint8)  # no two are equal
            picture = image_msg(rgb, t_ns + OFFSET_NS, f"c{stream}")
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


def alone(case: Case, seconds: float) -> dict[str, Any]:
    """One case without processes: each message is handed over when it is due."""
    pictures, states = (
        np.array([(t, due, k) for due, t, k in schedule(what, case, seconds, 10**18)], np.int64)
        for what in ("cameras", "joints")
    )
    with tempfile.TemporaryDirectory() as folder:
        seen = replayed(robot_file(Path(folder), case, OFFSET_NS), case, pictures, states)
    found = compared([(t, t, values) for t, values in seen], seen, pictures, states, OFFSET_NS)
    kept = ("ours", "nearest", "offset unknown", "latest")
    rate = round(len(seen) / seconds, 1)
    return {"case": case.words, "obs/s": rate, **{key: found[key] for key in kept}}


def main() -> int:
    """Run it."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--alone", action="store_true", help="the synchroniser without DDS")
    parser.add_argument("--drive", help="one driver, as this benchmark starts it")
    options = parser.parse_args()
    if options.drive:
        what, case, seconds, log = json.loads(options.drive)
        drive(what, Case(**case), seconds, Path(log))
        return 0
    full = [Case(hz=hz, drops=drops) for drops in (0.1, 0.3, 0.5) for hz in (50, 125, 500)]
    wide = Case(hz=50, drops=0.5, velocities=False)
    narrow = replace(wide, tolerance_s=0.05)
    growth = [Case(cameras=count, hz=125, drops=0.1) for count in (1, 2, 4)]
    cases = [*full, wide, narrow] if options.alone else [*full, wide, narrow, *growth]
    if options.quick:
        cases = [full[2], full[6]]
    seconds = 6.0 if options.quick else 15.0
    goals: list[Goal] = []
    if options.alone:
        title = "the synchroniser alone: p95 of the residual in ms;"
        rows = {case: alone(case, 60.0) for case in cases}
    else:
        title = "pictures and joints over DDS: p95 of the residual, and latency, in ms;"
        found = estimate_offset(30.0 if options.quick else 60.0)
        off_ms = abs(found.latency_ns - OFFSET_NS) * 1e-6
        goals.append(at_most("error of the estimated offset [ms]", 5.0, off_ms))
        rows = {case: run(case, seconds, found.latency_ns) for case in cases}
    for case in (case for case in cases if case != wide):
        bound, got = (1.0 if case.hz == 500 else 3.0), rows[case]["ours"]
        goals.append(at_most(f"residual p95 [ms], {case.words}", bound, got))
    if growth[2] in cases:
        one, four = (rows[growth[k]]["ready p50"] for k in (0, 2))
        words = "what one more camera adds to ready to observation, p50 [ms]"
        goals.append(at_most(words, 5.0, (four - one) / 3))
    rates = [rows[c]["obs/s"] / (1 - c.drops) for c in cases if c != narrow]
    words = "observations a second, of 30 pictures a second, worst case"
    goals.append(at_least(words, 24.0, min(rates)))
    return finish(title, list(rows.values()), goals, options.json)


if __name__ == "__main__":
    sys.exit(main())
