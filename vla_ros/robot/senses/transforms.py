"""The pose of one frame in another, from transforms as they are published on /tf.

Every edge of the tree has a history of its own. A pose is put together for the newest instant that
all its moving edges know, between whose samples they are interpolated; never from transforms of
different instants.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vla_ros.robot.poses.pose_values import Poses
from vla_ros.spaces.rotations import RotationError, matrix_from_quaternion, normalised
from vla_ros.spaces.rotations import quaternion_from_matrix as quaternion_from
from vla_ros.sync import Blend, History

FloatArray = npt.NDArray[np.float64]

_KEPT_NS, _KEPT = 2_000_000_000, 1000
_BLEND = Blend(quaternions=(3,))


@dataclass(frozen=True, kw_only=True, eq=False)
class Transform:
    """Where a child frame is in its parent.

    Attributes:
        parent: Frame.
        child: Frame.
        stamp_ns: When, in [ns].
        pose: x, y, z in [m] and the quaternion x, y, z, w. Shape (7,).
    """

    parent: str
    child: str
    stamp_ns: int
    pose: FloatArray


class TransformChain:
    """Puts the pose of ``link`` in ``frame`` together.

    Args:
        frame: In whose frame.
        link: What is sought.
        gap_ns: Moving edges are interpolated between samples at most this far apart, in [ns].
    """

    def __init__(self, frame: str, link: str, gap_ns: int) -> None:
        self._frame, self._link, self._gap_ns = frame, link, gap_ns
        self._parents: dict[str, str] = {}
        self._fixed: dict[str, FloatArray] = {}
        self._moving: dict[str, History[FloatArray]] = {}
        self._told_ns = 0

    def push(
        self, transforms: Iterable[Transform], now_ns: int, *, static: bool = False
    ) -> tuple[int, FloatArray] | None:
        """Take transforms in.

        Returns:
            A stamp in [ns] and the pose then, shape (7,), where a new one is known.

        Raises:
            RotationError: A quaternion is zero or not finite.
        """
        for transform in transforms:
            child = transform.child
            pose = np.concatenate((transform.pose[:3], normalised(transform.pose[3:])))
            if not np.isfinite(pose).all():
                raise RotationError(f"transform to '{child}' is not finite: {pose.tolist()}")
            if self._parents.get(child) not in (None, transform.parent):
                self._fixed.pop(child, None)
                self._moving.pop(child, None)
            self._parents[child] = transform.parent
            if static:
                self._fixed[child] = pose
            else:
                history = self._moving.setdefault(
                    child, History(max_age_ns=_KEPT_NS, max_count=_KEPT, future_ns=_KEPT_NS)
                )
                history.push(transform.stamp_ns, pose, now_ns)
        return self._newest()

    def clear(self) -> None:
        """Time jumped: forget what moves."""
        self._moving.clear()
        self._told_ns = 0

    def _newest(self) -> tuple[int, FloatArray] | None:
        ours, above = self._up(self._link), self._up(self._frame)
        if ours[-1] != above[-1]:
            return None  # not connected (yet)
        common = set(ours) & set(above)
        edges = [child for child in (*ours, *above) if child not in common]
        known = [self._moving[child].newest_ns for child in edges if child in self._moving]
        at_ns = min((stamp for stamp in known if stamp is not None), default=0)
        if at_ns <= self._told_ns:
            return None
        poses = {child: self._at(child, at_ns) for child in edges}
        if any(pose is None for pose in poses.values()):
            return None
        self._told_ns = at_ns
        link, frame = (
            _composed([poses[child] for child in way if child not in common])
            for way in (ours, above)
        )
        there = frame.inverse().times(link)
        return at_ns, np.concatenate((there.position, quaternion_from(there.rotation)))

    def _up(self, frame: str) -> list[str]:
        """The frame, its parent and so on to the root."""
        way = [frame]
        while way[-1] in self._parents and self._parents[way[-1]] not in way:
            way.append(self._parents[way[-1]])
        return way

    def _at(self, child: str, at_ns: int) -> FloatArray | None:
        if child in self._fixed:
            return self._fixed[child]
        history = self._moving[child]
        after = int(np.searchsorted(history.stamps, at_ns))
        if history.stamps[after] == at_ns:
            return history.values[after]
        if after == 0 or history.stamps[after] - history.stamps[after - 1] > self._gap_ns:
            return None
        start, end = history.stamps[after - 1], history.stamps[after]
        share = (at_ns - start) / (end - start)
        return _BLEND.between(history.values[after - 1], history.values[after], share)


def _composed(poses: list[FloatArray | None]) -> Poses:
    """Poses from a link up to an ancestor as one."""
    whole = Poses(np.zeros(3), np.eye(3))
    for pose in poses:
        assert pose is not None  # looked at before
        whole = Poses(pose[:3], matrix_from_quaternion(pose[3:])).times(whole)
    return whole
