"""`vla calibrate-latency`: how much later than the capture each camera's pictures are stamped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from vla_ros.errors import VlaError
from vla_ros.robot.calibrate import CalibrationError, LatencyRecording, write_latency
from vla_ros.robot.load import load_robot, robot_path
from vla_ros.robot.spec import RobotSpec
from vla_ros.robot.spec_streams import CameraSpec
from vla_ros.robot.state_streams import stream_name
from vla_ros.spaces.images import Rgb, decode_compressed, decode_image


def calibrate(robot: str, bag: Path | None, seconds: float, write: bool) -> int:
    """Record or read, print what was found; 0 when every camera's latency is known."""
    console = Console()
    spec = load_robot(robot)
    recording = LatencyRecording(spec)
    if bag is None:
        console.print(f"Listening for {seconds:g} s: move the arm, start, stop and turn often.")
        _listen(spec, recording, seconds)
    else:
        _read(spec, recording, bag)
    path, known = robot_path(robot), True
    for camera in spec.cameras:
        try:
            found = recording.estimate(camera.key)
        except VlaError as error:
            console.print(f"[red]✗[/] {camera.key}: {error}", highlight=False)
            known = False
            continue
        console.print(
            f"[green]✓[/] {camera.key}: {found.latency_ns * 1e-6:.1f} ms "
            f"({found.low_ns * 1e-6:.1f} to {found.high_ns * 1e-6:.1f} ms with 95 %), "
            f"{found.pictures} pictures, {found.fit:.0%} explained, "
            f"{camera.latency_s * 1e3:.1f} ms in the robot file",
            highlight=False,
        )
        if found.high_ns < 0:
            console.print("  negative: the clocks of camera and joints differ", highlight=False)
            known = False
        elif write:
            write_latency(path, camera.key, max(found.latency_ns, 0) * 1e-9)
            console.print(f"  written to {path}", highlight=False)
    return 0 if known else 1


def _read(spec: RobotSpec, recording: LatencyRecording, bag: Path) -> None:
    from rosbags.highlevel import AnyReader

    if not bag.exists():
        raise CalibrationError(f"{bag}: there is no such bag")
    cameras = {camera.topic: camera for camera in spec.cameras}
    joints = {source.topic: stream_name(source) for source in spec.state.joint_sources}
    with AnyReader([bag]) as reader:
        wanted = [c for c in reader.connections if c.topic in cameras or c.topic in joints]
        for connection, arrived_ns, data in reader.messages(connections=wanted):
            message = reader.deserialize(data, connection.msgtype)
            if connection.topic in joints:
                _add_joints(recording, joints[connection.topic], arrived_ns, message)
            else:
                _add_picture(recording, cameras[connection.topic], arrived_ns, message)


def _listen(spec: RobotSpec, recording: LatencyRecording, seconds: float) -> None:
    from rclpy.qos import qos_profile_sensor_data

    from vla_ros.ros.observation_inputs import topics_of
    from vla_ros.ros.task_client import TaskClient

    cameras = {camera.topic: camera for camera in spec.cameras}
    joints = {source.topic: stream_name(source) for source in spec.state.joint_sources}
    with TaskClient() as client:

        def subscribe(topic: str, kind: type[Any]) -> None:
            def heard(message: Any) -> None:
                if topic in joints:
                    _add_joints(recording, joints[topic], client.now_ns, message)
                else:
                    _add_picture(recording, cameras[topic], client.now_ns, message)

            client.node.create_subscription(kind, topic, heard, qos_profile_sensor_data)

        for _, topic, kind in topics_of(spec):
            if topic in cameras or topic in joints:
                subscribe(topic, kind)
        client.spin_until(lambda: False, seconds)


def _add_joints(recording: LatencyRecording, stream: str, arrived_ns: int, message: Any) -> None:
    recording.add_joints(
        stream, _stamp_ns(message), arrived_ns, list(message.name), list(message.position)
    )


def _add_picture(
    recording: LatencyRecording, camera: CameraSpec, arrived_ns: int, message: Any
) -> None:
    recording.add_picture(camera.key, _stamp_ns(message), arrived_ns, _rgb(camera, message))


def _rgb(camera: CameraSpec, message: Any) -> Rgb:
    data = np.frombuffer(message.data, dtype=np.uint8)
    if camera.transport == "compressed":
        return decode_compressed(data)
    return decode_image(
        message.encoding,
        message.height,
        message.width,
        message.step,
        data,
        big_endian=bool(message.is_bigendian),
        depth_range_m=camera.depth_range_m,
    )


def _stamp_ns(message: Any) -> int:
    stamp = message.header.stamp
    return int(stamp.sec) * 10**9 + int(stamp.nanosec)
