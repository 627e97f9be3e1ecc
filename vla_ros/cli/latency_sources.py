"""Where `vla calibrate-latency` has pictures and joint states from: live topics, or a bag."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import Progress

from vla_ros.robot.senses.bridged_images import BridgedImages
from vla_ros.robot.senses.calibrate import CalibrationError, LatencyRecording
from vla_ros.robot.senses.state_streams import stream_name
from vla_ros.robot.spec.robot import RobotSpec
from vla_ros.robot.spec.streams import CameraSpec
from vla_ros.spaces.images import ENCODINGS, Rgb, decode_compressed, decode_image

DISCOVERY_S = 5.0
SLOWEST = 20.0  # steady time that a second of simulated time may take


def read_bag(spec: RobotSpec, recording: LatencyRecording, bag: Path) -> None:
    """Everything that a bag holds.

    Raises:
        CalibrationError: there is no such bag.
        JointsError: its joint states are not the robot's.
    """
    from rosbags.highlevel import AnyReader

    if not bag.exists():
        raise CalibrationError(f"{bag}: there is no such bag")
    takers = _takers(spec, recording)
    with AnyReader([bag]) as reader:
        wanted = [c for c in reader.connections if c.topic in takers]
        for connection, arrived_ns, data in reader.messages(connections=wanted):
            message = reader.deserialize(data, connection.msgtype)
            takers[connection.topic](message, arrived_ns)


def listen(spec: RobotSpec, recording: LatencyRecording, seconds: float, console: Console) -> None:
    """What comes in so many seconds of ROS time.

    Raises:
        CalibrationError: nobody publishes joint states, or time stands still.
        JointsError: the joint states are not the robot's.
    """
    from rclpy.parameter import Parameter

    from vla_ros.ros import qos
    from vla_ros.ros.observation_inputs import topics_of
    from vla_ros.ros.publications import publication_problem
    from vla_ros.ros.task_client import TaskClient

    takers = _takers(spec, recording)
    kinds = {topic: kind for _, topic, kind in topics_of(spec) if topic in takers}
    with TaskClient() as client, Progress(console=console, transient=True) as progress:
        node = client.node

        def problems() -> dict[str, str]:
            found = {topic: publication_problem(node, topic, kind) for topic, kind in kinds.items()}
            return {topic: why for topic, why in found.items() if why}

        client.spin_until(lambda: not problems(), DISCOVERY_S)
        for topic, why in (missing := problems()).items():
            if topic == spec.state.topic:
                raise CalibrationError(why)
            console.print(f"[yellow]![/] {why}", highlight=False)
        simulated = node.count_publishers("/clock") > 0
        node.set_parameters([Parameter("use_sim_time", value=simulated)])
        for topic in kinds.keys() - missing.keys():
            camera = any(topic == c.topic for c in spec.cameras)
            profile = qos.match_publisher(node, topic, "image" if camera else "joint_state")

            def heard(message: Any, take: _Taker = takers[topic]) -> None:
                take(message, client.now_ns)

            node.create_subscription(kinds[topic], topic, heard, profile or 10)
        client.spin_until(lambda: client.now_ns > 0, DISCOVERY_S)
        start_ns, bar = client.now_ns, progress.add_task("listening", total=seconds)

        def over() -> bool:
            passed_s = (client.now_ns - start_ns) * 1e-9
            progress.update(bar, completed=passed_s)
            return passed_s >= seconds

        if not client.spin_until(over, SLOWEST * seconds if simulated else 2 * seconds):
            raise CalibrationError(
                f"ROS time hardly passes: {(client.now_ns - start_ns) * 1e-9:.1f} s of "
                f"{seconds:g}; is the simulation paused?"
            )


_Taker = Callable[[Any, int], None]


def _takers(spec: RobotSpec, recording: LatencyRecording) -> dict[str, _Taker]:
    """By topic, what takes a message and when it arrived [ns]."""

    def joints(stream: str) -> _Taker:
        return lambda message, arrived_ns: recording.add_joints(
            stream, _stamp_ns(message), arrived_ns, list(message.name), list(message.position)
        )

    def pictures(camera: CameraSpec) -> _Taker:
        read = picture_reader(camera)
        return lambda message, arrived_ns: recording.add_picture(
            camera.key, _stamp_ns(message), arrived_ns, read(message)
        )

    return {
        **{source.topic: joints(stream_name(source)) for source in spec.state.joint_sources},
        **{camera.topic: pictures(camera) for camera in spec.cameras},
    }


def picture_reader(camera: CameraSpec) -> Callable[[Any], Rgb]:
    """What reads a camera's messages as raw pictures.

    Raises:
        BridgeMissing: the encoding needs cv_bridge, and it is not there.
    """
    bridge = None if camera.encoding in ENCODINGS else BridgedImages(camera.encoding)

    def read(message: Any) -> Rgb:
        data = np.frombuffer(message.data, dtype=np.uint8)
        if camera.transport == "compressed":
            return decode_compressed(data)
        form = message.height, message.width, message.step, data
        if bridge is not None:
            return bridge.read(*form, bool(message.is_bigendian))
        return decode_image(
            message.encoding,
            *form,
            big_endian=bool(message.is_bigendian),
            depth_range_m=camera.depth_range_m,
        )

    return read


def _stamp_ns(message: Any) -> int:
    stamp = message.header.stamp
    return int(stamp.sec) * 10**9 + int(stamp.nanosec)
