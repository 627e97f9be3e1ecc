"""A robot's own recording as the estimate of each camera's latency, and that into its file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import yaml

from vla_ros.errors import VlaError
from vla_ros.robot.command.joints import JointReader
from vla_ros.robot.senses.state_streams import stream_name
from vla_ros.robot.spec.robot import RobotSpec
from vla_ros.spaces import STATE_ANCHOR
from vla_ros.spaces.images import Rgb, small_grey
from vla_ros.sync.latency import Latency, estimate_latency


class CalibrationError(VlaError):
    """A recording or a robot file that a latency cannot be taken from or written to."""


class LatencyRecording:
    """Collects pictures and joint states, as they are stamped, and estimates latencies.

    Pictures are kept small and grey: 9 MB for a minute of a camera at 30 Hz.

    Args:
        spec: the robot; the clock that each stream declares is obeyed.
    """

    def __init__(self, spec: RobotSpec) -> None:
        self._cameras = {camera.key: camera for camera in spec.cameras}
        self._sources = {stream_name(source): source for source in spec.state.joint_sources}
        self._readers = {name: JointReader(s, spec.limits) for name, s in self._sources.items()}
        self._joints: dict[str, dict[int, np.ndarray]] = {name: {} for name in self._sources}
        self._stamps: dict[str, list[int]] = {key: [] for key in self._cameras}
        self._pictures: dict[str, list[np.ndarray]] = {key: [] for key in self._cameras}

    def add_picture(self, key: str, stamp_ns: int, arrived_ns: int, rgb: Rgb) -> None:
        """One raw picture (H, W, 3); those that go back in time are left out."""
        t_ns = stamp_ns if self._cameras[key].clock == "header" else arrived_ns
        stamps = self._stamps[key]
        if t_ns <= 0 or (stamps and t_ns <= stamps[-1]):
            return
        self._pictures[key].append(small_grey(rgb))
        stamps.append(t_ns)

    def add_joints(
        self, stream: str, stamp_ns: int, arrived_ns: int, names: list[str], positions: list[float]
    ) -> None:
        """One joint state.

        Raises:
            JointsError: it cannot be read.
        """
        source = self._sources[stream]
        t_ns = (stamp_ns if source.clock == "header" else arrived_ns) - source.latency_ns
        if t_ns > 0:
            self._joints[stream][t_ns] = self._readers[stream].read(names, positions)

    def summary(self) -> str:
        """How much there is of each stream, in words."""
        joints = [f"{len(samples)} of joints '{name}'" for name, samples in self._joints.items()]
        pictures = [f"{len(stamps)} of camera '{key}'" for key, stamps in self._stamps.items()]
        return ", ".join((*joints, *pictures))

    def estimate(self, key: str) -> Latency:
        """The latency of one camera against the joint states.

        Raises:
            LatencyError: the recording does not tell it.
        """
        main = sorted(self._joints[STATE_ANCHOR].items())
        if not main or not self._stamps[key]:
            missing = f"pictures of '{key}'" if main else "joint states"
            raise CalibrationError(
                f"the recording has no {missing}; record the topics of the robot file"
            )
        stamps = np.array([t for t, _ in main], dtype=np.int64)
        columns = [np.array([values for _, values in main])]
        for stream, samples in self._joints.items():
            if stream == STATE_ANCHOR or not samples:
                continue
            times = np.array(sorted(samples), dtype=np.int64)
            rows = np.array([samples[t] for t in sorted(samples)])
            at = (stamps - times[0]).astype(np.float64)
            columns.append(
                np.stack([np.interp(at, times - times[0], row) for row in rows.T], axis=-1)
            )
        return estimate_latency(
            np.array(self._stamps[key], dtype=np.int64),
            np.array(self._pictures[key]),
            stamps,
            np.hstack(columns),
        )


def with_latency(text: str, key: str, latency_s: float) -> str:
    """The text of a robot file with one camera's ``latency_s`` set; all else stays as it is.

    Raises:
        CalibrationError: the text has no such camera.
    """
    camera = _camera(text, key)
    lines = text.splitlines(keepends=True)
    value = f"{latency_s:.4f}"
    for name, node in camera.value:
        if name.value == "latency_s":
            line, start, end = node.start_mark.line, node.start_mark.column, node.end_mark.column
            lines[line] = lines[line][:start] + value + lines[line][end:]
            return "".join(lines)
    if camera.flow_style:
        line, end = camera.end_mark.line, camera.end_mark.column - 1  # at the closing brace
        lines[line] = f"{lines[line][:end]}, latency_s: {value}{lines[line][end:]}"
        return "".join(lines)
    first, _ = camera.value[0]
    key_line = next(name.start_mark.line for name, _ in camera.value if name.value == "key")
    lines.insert(key_line + 1, f"{' ' * first.start_mark.column}latency_s: {value}\n")
    return "".join(lines)


def write_latency(path: Path, key: str, latency_s: float) -> None:
    """Set one camera's ``latency_s`` in a robot file, comments kept."""
    path.write_text(with_latency(path.read_text(encoding="utf-8"), key, latency_s), "utf-8")


def _camera(text: str, key: str) -> yaml.MappingNode:
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    pairs = root.value if isinstance(root, yaml.MappingNode) else []
    cameras: list[yaml.MappingNode] = next(
        (value.value for name, value in pairs if name.value == "cameras"), []
    )
    for camera in cameras:
        if any(name.value == "key" and value.value == key for name, value in camera.value):
            return camera
    raise CalibrationError(f"the robot file has no camera '{key}'")
