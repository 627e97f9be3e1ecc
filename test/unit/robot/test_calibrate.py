from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml
from rosbags.rosbag2 import Writer
from rosbags.typesys import Stores, get_typestore
from rosbags.typesys.stores import ros2_jazzy as ros
from typer.testing import CliRunner

from vla_ros.cli.calibrate import calibrate
from vla_ros.cli.main import app
from vla_ros.robot.load import load_robot
from vla_ros.robot.senses.calibrate import CalibrationError, LatencyRecording, with_latency
from vla_ros.sync.latency import LatencyError

ROBOT = Path(__file__).resolve().parents[3] / "config" / "robots" / "sim_arm.yaml"
TEXT = ROBOT.read_text(encoding="utf-8")
START = 1_700_000_000 * 10**9
LATE_S = 0.08
HEIGHT, WIDTH = 36, 48


def where(t: np.ndarray | float) -> np.ndarray:
    """A joint that speeds up, slows down and turns, never twice alike."""
    return 0.5 * np.sin(2.1 * t + 1.3 * np.sin(0.47 * t)) + 0.2 * np.sin(5.3 * t)


def picture(t: float) -> np.ndarray:
    """A bright edge that stands where the joint is."""
    x = np.arange(WIDTH)[None, :, None]
    edge = 1 / (1 + np.exp(-(x - WIDTH * (0.5 + 0.5 * where(t))) / 2))
    return np.broadcast_to((230 * edge).astype(np.uint8), (HEIGHT, WIDTH, 3))


@pytest.mark.parametrize("key", ["front", "wrist"])
def test_only_the_latency_of_the_camera_named_changes_in_the_file(key: str) -> None:
    once = with_latency(TEXT, key, 0.0314)
    values = {camera["key"]: camera for camera in yaml.safe_load(once)["cameras"]}
    assert values[key]["latency_s"] == 0.0314
    assert sum("latency_s" in camera for camera in values.values()) == 1
    assert set(TEXT.splitlines()) <= set(once.splitlines()), "comments and all else stay"
    twice = with_latency(once, key, 0.05)
    assert len(twice.splitlines()) == len(once.splitlines())
    assert "latency_s: 0.0500\n" in twice


def test_a_camera_written_on_one_line_is_found_too() -> None:
    text = "cameras:\n  - {key: a, width: 3}  # small\n"
    assert with_latency(text, "a", 0.01) == (
        "cameras:\n  - {key: a, width: 3, latency_s: 0.0100}  # small\n"
    )


def test_a_camera_that_is_not_in_the_file_is_refused() -> None:
    with pytest.raises(CalibrationError, match="no camera 'rear'"):
        with_latency(TEXT, "rear", 0.01)


def test_a_recording_without_pictures_says_so() -> None:
    recording = LatencyRecording(load_robot(ROBOT))
    with pytest.raises(CalibrationError, match="no joint states"):
        recording.estimate("front")


@pytest.mark.slow
def test_a_bag_gives_the_latency_and_the_file_gets_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    robot = tmp_path / "robot.yaml"
    text = TEXT.replace("raw_width: 480", f"raw_width: {WIDTH}")
    text = text.replace("raw_height: 360", f"raw_height: {HEIGHT}")
    text = text.replace("crop: [60, 0, 360, 360]", "crop: [6, 0, 36, 36]")
    robot.write_text(text, encoding="utf-8")
    names = list(load_robot(robot).state.joints)
    store = get_typestore(Stores.ROS2_JAZZY)

    def header(t: float) -> object:
        ns = START + round(t * 1e9)
        stamp = ros.builtin_interfaces__msg__Time(sec=ns // 10**9, nanosec=ns % 10**9)
        return ros.std_msgs__msg__Header(stamp=stamp, frame_id="")

    events: list[tuple[float, str, object]] = []
    for t in np.arange(0, 31, 0.01):
        q = np.array([where(t), *[0.0] * (len(names) - 1)])
        empty = np.zeros(0)
        message = ros.sensor_msgs__msg__JointState(header(t), names, q, empty, empty)
        events.append((t, "/joint_states", message))
    for t in np.arange(0.5, 30, 1 / 30):
        data = picture(t).reshape(-1)
        image = ros.sensor_msgs__msg__Image(
            header(t + LATE_S), HEIGHT, WIDTH, "rgb8", 0, 3 * WIDTH, np.ascontiguousarray(data)
        )
        events.append((t + LATE_S, "/camera/front/image_raw", image))
    with Writer(tmp_path / "bag", version=8) as writer:
        topics = {"/joint_states": "JointState", "/camera/front/image_raw": "Image"}
        made = {
            topic: writer.add_connection(topic, f"sensor_msgs/msg/{kind}", typestore=store)
            for topic, kind in topics.items()
        }
        for t, topic, message in sorted(events, key=lambda event: event[0]):
            kind = made[topic].msgtype
            writer.write(made[topic], START + round(t * 1e9), store.serialize_cdr(message, kind))
    assert calibrate(str(robot), tmp_path / "bag", 20.0, write=True) == 1, "no wrist pictures"
    printed = capsys.readouterr().out
    assert "no pictures of 'wrist'" in printed
    assert "✓ front: pictures are stamped " in printed
    assert f"is written to {robot}" in printed
    front, wrist = load_robot(robot).cameras
    assert front.latency_s == pytest.approx(LATE_S, abs=0.005)
    assert wrist.latency_s == 0


@pytest.mark.parametrize(
    "options",
    [(), ("--robot", "sim_arm", "--dataset", "set"), ("--dataset", "set", "--write")],
    ids=["neither", "both", "nothing to write to"],
)
def test_the_verb_takes_a_robot_or_a_dataset(options: tuple[str, ...]) -> None:
    said = CliRunner().invoke(app, ["calibrate-latency", *options])
    assert said.exit_code == 2
    assert "--robot FILE" in said.output.replace("\n", " ")


def test_an_arm_at_rest_calibrates_nothing() -> None:
    spec = load_robot(ROBOT)
    recording = LatencyRecording(spec)
    names = list(spec.state.joints)
    for k in range(3000):
        recording.add_joints("state", START + k * 10**7, 0, names, [0.0] * len(names))
    for k in range(10, 800):
        recording.add_picture("front", START + k * 33 * 10**6, 0, picture(k / 30))
    with pytest.raises(LatencyError, match="no joint moved"):
        recording.estimate("front")
