"""The robot's eyes and joints as observations: robot file, time contract and synchroniser in one.

The live node, the in-process rollout and the converter all use this class, so that a policy is
trained on and shown observations made by the same code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from vla_ros.robot.spec import CameraSpec, RobotSpec, StateSpec
from vla_ros.spaces import STATE_ANCHOR, Observation, StreamReport, TimeContract
from vla_ros.spaces.images import ImageError, Rgb, decode_image
from vla_ros.sync import Consequence, Frame, PushResult, Refusal, StreamConfig, Synchroniser

_IMAGE_COUNT = 128

_STAMPS = {
    "duplicate": ("a sample with this stamp is there already", "a new stamp in each message"),
    "zero": ("the stamp is zero", "the time of the capture in header.stamp"),
    "future": ("the stamp lies in the future", "a stamp at or before now"),
    "old": ("the stamp is older than the history", "samples in about the order of their stamps"),
}


class Observer:
    """Feeds camera images and joint states to a synchroniser; hands out observations.

    Args:
        spec: the robot.
        contract: time contract of the policy that will see the observations.

    Raises:
        TimeContractError: the contract does not know one of the robot's cameras.
    """

    def __init__(self, spec: RobotSpec, contract: TimeContract) -> None:
        self._cameras = {camera.key: camera for camera in spec.cameras}
        self._transforms = {camera.key: camera.transform for camera in spec.cameras}
        self._state = spec.state
        self._joints = spec.state.joints
        self._order: tuple[list[str], npt.NDArray[np.intp]] | None = None
        self._sync = Synchroniser(
            contract,
            spec.anchor,
            [*(_camera_stream(camera) for camera in spec.cameras), _state_stream(spec.state)],
            max_age_ns=spec.max_observation_age_ns,
        )

    def push_image(self, key: str, stamp_ns: int, rgb: Rgb, now_ns: int) -> Refusal | None:
        """Take in one raw image; it is copied, so its memory may be reused.

        Args:
            key: camera key.
            stamp_ns: header stamp of the image.
            rgb: the raw image, uint8. Shape (H, W, 3).
            now_ns: now, ROS time.

        Returns:
            Why the image was refused, or None. Refused images are counted in the reports.

        Raises:
            SyncError: there is no such camera.
        """
        camera = self._cameras.get(key)
        if camera is None:
            self._sync.count_refused(key, "form")  # raises, naming the streams that exist
            return None
        if rgb.shape != (camera.raw_height, camera.raw_width, 3):
            return self._refuse_image(
                camera,
                what="the image has another size or form than the robot file says",
                expected=f"({camera.raw_height}, {camera.raw_width}, 3)",
                got=str(rgb.shape),
                do="mend the camera driver's resolution, or raw_height, raw_width and crop",
            )
        image, signature = self._transforms[key].apply_signed(rgb)
        result = self._sync.push(key, stamp_ns, Frame(image, signature), now_ns)
        return _bad_stamp(key, result, stamp_ns, now_ns)

    def push_message(
        self,
        key: str,
        stamp_ns: int,
        *,
        encoding: str,
        height: int,
        width: int,
        step: int,
        data: bytes | bytearray | memoryview | npt.NDArray[np.uint8],
        now_ns: int,
    ) -> Refusal | None:
        """Take in the fields of a sensor_msgs/Image; else as ``push_image``."""
        camera = self._cameras.get(key)
        if camera is not None and encoding != camera.encoding:
            return self._refuse_image(
                camera,
                what="the image has another encoding than the robot file says",
                expected=camera.encoding,
                got=f"'{encoding}'",
                do="mend the camera driver's encoding, or the robot file's",
            )
        try:
            rgb = decode_image(encoding, height, width, step, data)
        except ImageError as error:
            if camera is None:
                raise
            return self._refuse_image(
                camera,
                what="the image's bytes cannot be read",
                expected=f"{camera.encoding} of {camera.raw_width}x{camera.raw_height}",
                got=str(error),
                do="mend the camera driver",
            )
        return self.push_image(key, stamp_ns, rgb, now_ns)

    def push_joints(
        self, stamp_ns: int, positions: Mapping[str, float], now_ns: int
    ) -> Refusal | None:
        """Take in joint positions by name [rad or m]; more joints than needed are fine.

        Returns:
            Why they were refused (a joint missing, no finite number, bad stamp), or None.
        """
        try:
            values = [positions[joint] for joint in self._joints]
        except KeyError:
            return self._missing_joints(list(positions))
        return self._push_state(stamp_ns, np.array(values, dtype=np.float64), now_ns)

    def push_joint_arrays(
        self,
        stamp_ns: int,
        names: Sequence[str],
        positions: Sequence[float] | npt.NDArray[np.float64],
        now_ns: int,
    ) -> Refusal | None:
        """Take in a sensor_msgs/JointState's names and positions; else as ``push_joints``."""
        if len(names) != len(positions):
            self._sync.count_refused(STATE_ANCHOR, "form")
            return Refusal(
                stream=STATE_ANCHOR,
                what="names and positions differ in number",
                expected=f"{len(names)} positions",
                got=str(len(positions)),
                do=f"mend what publishes {self._state.topic}",
                consequence=_structural(self._state),
            )
        if self._order is None or self._order[0] != names:
            listed = list(names)
            missing = [joint for joint in self._joints if listed.count(joint) != 1]
            if missing:
                return self._missing_joints(listed)
            self._order = (listed, np.array([listed.index(joint) for joint in self._joints]))
        values = np.asarray(positions, dtype=np.float64)[self._order[1]]
        return self._push_state(stamp_ns, values, now_ns)

    def observe(self, now_ns: int) -> Observation | Refusal | None:
        """The newest complete observation, why there is none, or None while nothing is new."""
        return self._sync.observe(now_ns)

    def reports(self, now_ns: int) -> tuple[StreamReport, ...]:
        """Every stream as it stands now, anchor first."""
        return self._sync.reports(now_ns)

    def clear(self) -> None:
        """Forget everything seen: after a clock jump."""
        self._sync.clear()

    def _push_state(
        self, stamp_ns: int, values: npt.NDArray[np.float64], now_ns: int
    ) -> Refusal | None:
        if not np.isfinite(values).all():
            self._sync.count_refused(STATE_ANCHOR, "form")
            broken = [j for j, v in zip(self._joints, values, strict=True) if not np.isfinite(v)]
            return Refusal(
                stream=STATE_ANCHOR,
                what=f"the position of {', '.join(broken)} is no finite number",
                expected="finite radians or metres",
                got=str(values.tolist()),
                do=f"mend what publishes {self._state.topic}",
                consequence="skip",
            )
        values.setflags(write=False)
        result = self._sync.push(STATE_ANCHOR, stamp_ns, values, now_ns)
        return _bad_stamp(STATE_ANCHOR, result, stamp_ns, now_ns)

    def _missing_joints(self, got: list[str]) -> Refusal:
        self._sync.count_refused(STATE_ANCHOR, "form")
        repeated = [joint for joint in self._joints if got.count(joint) > 1]
        missing = [joint for joint in self._joints if joint not in got]
        what = f"joints are missing: {', '.join(missing)}"
        if repeated:
            what = f"joints are named more than once: {', '.join(repeated)}"
        return Refusal(
            stream=STATE_ANCHOR,
            what=what,
            expected=", ".join(self._joints),
            got=", ".join(got) or "no joints",
            do=f"publish them on {self._state.topic}, or mend state.joints in the robot file",
            consequence=_structural(self._state),
        )

    def _refuse_image(
        self, camera: CameraSpec, *, what: str, expected: str, got: str, do: str
    ) -> Refusal:
        self._sync.count_refused(camera.key, "form")
        return Refusal(
            stream=camera.key,
            what=what,
            expected=expected,
            got=got,
            do=do,
            consequence=_structural(camera),
        )


def _structural(stream: CameraSpec | StateSpec) -> Consequence:
    """What a message of the wrong form leads to: it will not heal, so it stops where declared."""
    return "stop" if stream.on_loss == "stop" else "skip"


def _bad_stamp(stream: str, result: PushResult, stamp_ns: int, now_ns: int) -> Refusal | None:
    if result == "added":
        return None
    what, expected = _STAMPS[result]
    return Refusal(
        stream=stream,
        what=what,
        expected=expected,
        got=f"stamp {stamp_ns * 1e-9:.4f} s at {now_ns * 1e-9:.4f} s",
        do="check the publisher's clock and header.stamp",
        consequence="skip",
    )


def _camera_stream(camera: CameraSpec) -> StreamConfig:
    return StreamConfig(
        name=camera.key,
        strategy="nearest",
        tolerance_ns=camera.tolerance_ns,
        on_loss=camera.on_loss,
        latency_ns=camera.latency_ns,
        max_age_ns=camera.max_age_ns,
        wait_ns=camera.wait_ns,
        frozen_motion=camera.frozen_motion,
        history_count=_IMAGE_COUNT,
        source=camera.topic,
    )


def _state_stream(state: StateSpec) -> StreamConfig:
    return StreamConfig(
        name=STATE_ANCHOR,
        strategy="interpolate",
        tolerance_ns=state.tolerance_ns,
        on_loss=state.on_loss,
        max_age_ns=state.max_age_ns,
        wait_ns=state.wait_ns,
        source=state.topic,
    )
