"""The robot's eyes and joints as observations: robot file, time contract and synchroniser in one.

The live node, the in-process rollout and the converter all use this class, so that a policy is
trained on and shown observations made by the same code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from vla_ros.robot.command.joints import JointReader, JointsError
from vla_ros.robot.senses.sight import Sight, structural
from vla_ros.robot.senses.state_streams import sample_size, stream_config, stream_name
from vla_ros.robot.senses.state_vector import StateVector
from vla_ros.robot.senses.transforms import Transform, TransformChain
from vla_ros.robot.spec.robot import RobotSpec
from vla_ros.robot.spec.state import PoseStream, TransformSource
from vla_ros.spaces import STATE_ANCHOR, Observation, StreamReport, TimeContract
from vla_ros.spaces.images import Rgb
from vla_ros.spaces.raw_images import Buffer
from vla_ros.spaces.rotations import RotationError
from vla_ros.sync import Frame, PushResult, Refusal, Synchroniser

FloatArray = npt.NDArray[np.float64]

_STAMPS = {
    "duplicate": ("a sample with this stamp is there already", "a new stamp in each message"),
    "zero": ("the stamp is zero", "the time of the capture in header.stamp, or clock: receive"),
    "future": ("the stamp lies in the future", "a stamp at or before now"),
    "old": ("the stamp is older than the history", "samples in about the order of their stamps"),
}


class Observer:
    """Feeds camera images and the state's parts to a synchroniser; hands out observations.

    Not safe for threads, but for ``decode`` and ``decode_compressed``, which change nothing.

    Args:
        spec: the robot.
        contract: time contract of the policy that will see the observations.

    Raises:
        TimeContractError: the contract does not know one of the robot's cameras.
        SyncError: a pair tolerance names a stream that is not there.
        KinematicsError: the state has the pose of a link that cannot be computed.
    """

    def __init__(self, spec: RobotSpec, contract: TimeContract) -> None:
        self._state = StateVector(spec)
        self._sights = {camera.key: Sight(camera) for camera in spec.cameras}
        self._sources = {stream_name(s): s for s in (spec.state, *spec.state.sources)}
        self._chains = {
            name: TransformChain(source.frame, source.link, 2 * source.tolerance_ns)
            for name, source in self._sources.items()
            if isinstance(source, TransformSource)
        }
        self._readers = {
            stream_name(source): JointReader(source, spec.limits)
            for source in spec.state.joint_sources
        }
        self._sync = Synchroniser(
            contract,
            spec.anchor,
            [
                *(sight.stream for sight in self._sights.values()),
                *(stream_config(source) for source in self._sources.values()),
            ],
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
        return self.push_decoded(key, stamp_ns, self._sight(key).take(rgb), now_ns)

    def push_message(
        self,
        key: str,
        stamp_ns: int,
        *,
        encoding: str,
        height: int,
        width: int,
        step: int,
        data: Buffer,
        now_ns: int,
        big_endian: bool = False,
    ) -> Refusal | None:
        """Take in the fields of a sensor_msgs/Image; else as ``push_image``."""
        decoded = self.decode(
            key,
            encoding=encoding,
            height=height,
            width=width,
            step=step,
            data=data,
            big_endian=big_endian,
        )
        return self.push_decoded(key, stamp_ns, decoded, now_ns)

    def decode(
        self,
        key: str,
        *,
        encoding: str,
        height: int,
        width: int,
        step: int,
        data: Buffer,
        big_endian: bool = False,
    ) -> Frame | Refusal:
        """The fields of a sensor_msgs/Image in dataset space, for ``push_decoded``.

        May be called from any thread, for several cameras at once.
        """
        return self._sight(key).read(encoding, height, width, step, data, big_endian=big_endian)

    def decode_compressed(self, key: str, data: Buffer) -> Frame | Refusal:
        """The bytes of a sensor_msgs/CompressedImage in dataset space; else as ``decode``."""
        return self._sight(key).read_compressed(data)

    def push_decoded(
        self,
        key: str,
        stamp_ns: int,
        decoded: Frame | Refusal,
        now_ns: int,
        arrived_ns: int | None = None,
    ) -> Refusal | None:
        """Take in what ``decode`` made of a message that arrived earlier."""
        if isinstance(decoded, Refusal):
            self._sync.count_refused(key, "form")
            return decoded
        return self._pushed(key, stamp_ns, decoded, now_ns, arrived_ns)

    def push_joints(
        self,
        stamp_ns: int,
        positions: Mapping[str, float],
        now_ns: int,
        stream: str = STATE_ANCHOR,
        velocities: Mapping[str, float] | None = None,
    ) -> Refusal | None:
        """Take in joint positions by name; more joints than needed are fine.

        Returns:
            Why they were refused (a joint missing, no finite number, bad stamp), or None.
        """
        names, values = list(positions), list(positions.values())
        rates = [velocities[name] for name in names] if velocities else ()
        return self.push_joint_arrays(stamp_ns, names, values, now_ns, stream, rates)

    def push_joint_arrays(
        self,
        stamp_ns: int,
        names: Sequence[str],
        positions: Sequence[float] | FloatArray,
        now_ns: int,
        stream: str = STATE_ANCHOR,
        velocities: Sequence[float] | FloatArray = (),
    ) -> Refusal | None:
        """Take in a sensor_msgs/JointState's arrays; else as ``push_joints``.

        Args:
            stamp_ns: header stamp.
            names: as the driver calls the joints, in any order.
            positions: in the driver's unit.
            now_ns: now, ROS time.
            stream: ``state``, or ``state/<name>`` of a source of kind joints.
            velocities: in the driver's unit per second; empty where it measures none.
        """
        reader = self._readers[stream]
        try:
            values = reader.read(names, positions)
        except JointsError as error:
            self._sync.count_refused(stream, "form")
            return Refusal(
                stream=stream,
                what=error.what,
                expected=error.expected,
                got=error.got,
                do=error.do,
                consequence=structural(self._sources[stream]) if error.structural else "skip",
            )
        rates = reader.rates(names, velocities)
        return self._pushed(stream, stamp_ns, values, now_ns, rates=rates)

    def push_vector(
        self, stream: str, stamp_ns: int, values: FloatArray, now_ns: int
    ) -> Refusal | None:
        """Take in a sample of another source.

        Args:
            stream: ``state/<name>``.
            stamp_ns: header stamp.
            values: odometry (x, y, yaw, vx, vy, vyaw), pose (x, y, z, qx, qy, qz, qw) or wrench
                (fx, fy, fz, tx, ty, tz), SI units. Shape (n,).
            now_ns: now, ROS time.

        Returns:
            Why it was refused, or None.
        """
        source = self._sources[stream]
        size, pose = sample_size(source), isinstance(source, PoseStream)
        unturned = pose and values.shape == (size,) and not np.any(values[3:])
        if values.shape != (size,) or not np.isfinite(values).all() or unturned:
            self._sync.count_refused(stream, "form")
            return Refusal(
                stream=stream,
                what="a quaternion is zero" if unturned else "a value is missing or not finite",
                expected=f"{size} finite numbers" + (", and a rotation" if pose else ""),
                got=str(values.tolist()),
                do=f"mend what publishes {source.topic}",
                consequence="skip",
            )
        taken = np.array(values, dtype=np.float64)
        taken.setflags(write=False)
        return self._pushed(stream, stamp_ns, taken, now_ns)

    def push_transforms(
        self, stream: str, transforms: Sequence[Transform], now_ns: int, *, static: bool = False
    ) -> Refusal | None:
        """Take in transforms, of which a source of kind tf may need some.

        Args:
            stream: ``state/<name>``.
            transforms: those of one message.
            now_ns: now, ROS time.
            static: they hold for all time.

        Returns:
            Why what they amount to was refused, or None.
        """
        try:
            known = self._chains[stream].push(transforms, now_ns, static=static)
        except RotationError as error:
            self._sync.count_refused(stream, "form")
            return Refusal(
                stream=stream,
                what="a transform is none",
                expected="finite numbers, and a rotation",
                got=str(error),
                do=f"mend what publishes {self._sources[stream].topic}",
                consequence="skip",
            )
        return None if known is None else self.push_vector(stream, *known, now_ns)

    def observe(self, now_ns: int) -> Observation | Refusal | None:
        """The newest complete observation, why there is none, or None while nothing is new."""
        result = self._sync.observe(now_ns)
        if not isinstance(result, Observation):
            return result
        return replace(result, state=self._state(result.state))

    def reports(self, now_ns: int) -> tuple[StreamReport, ...]:
        """Every stream as it stands now, anchor first."""
        return self._sync.reports(now_ns)

    def counts(self) -> dict[str, Mapping[str, int]]:
        """Per stream, samples refused so far by reason; ``late`` ones were sorted in."""
        return self._sync.counts()

    def count_dropped(self, stream: str) -> None:
        """Count a message that nobody had time to read."""
        self._sync.count_refused(stream, "overrun")

    def clear(self) -> None:
        """Forget everything seen: after a clock jump."""
        self._sync.clear()
        for chain in self._chains.values():
            chain.clear()

    def _sight(self, key: str) -> Sight:
        if key not in self._sights:
            self._sync.count_refused(key, "form")  # raises, naming the streams that exist
        return self._sights[key]

    def _pushed(
        self,
        stream: str,
        stamp_ns: int,
        value: Frame | FloatArray,
        now_ns: int,
        arrived_ns: int | None = None,
        rates: FloatArray | None = None,
    ) -> Refusal | None:
        result: PushResult = self._sync.push(stream, stamp_ns, value, now_ns, arrived_ns, rates)
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
