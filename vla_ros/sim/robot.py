"""The simulated robot: MuJoCo physics, servo drives, two trajectory controllers and two cameras."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import mujoco
import numpy as np
import numpy.typing as npt

from vla_ros.sim.cameras import Cameras
from vla_ros.sim.controllers import Measured, TrajectoryController
from vla_ros.sim.model import HOME, PHYSICS_NS, body_name, load_model
from vla_ros.sim.scenes import make_scene
from vla_ros.sim.truth import (
    ARM_JOINTS,
    BINS,
    CUBES,
    FINGER_JOINT,
    FINGER_OPEN,
    JOINTS,
    Array,
    ObjectPose,
    SimError,
    SimTruth,
)

IMAGE_WIDTH = 480
IMAGE_HEIGHT = 360
START_NS = 1_000_000_000


class SimRobot:
    """Robot, table, cubes and bins. Time starts at 1 s and moves only in `step`.

    It does not start at 0 because ROS takes a stamp of 0 for none.

    The drives are position servos whose set value leads by (kd / kp) times the wanted velocity,
    so that the arm follows without the lag of a plain servo.

    Args:
        seed: Scene to begin with.
        binned: Cubes that lie in a bin already, see `make_scene`.
        width: Of the camera images, in [px].
        height: Likewise.
    """

    def __init__(
        self,
        seed: int = 0,
        binned: Sequence[str] | Mapping[str, str] = (),
        *,
        width: int = IMAGE_WIDTH,
        height: int = IMAGE_HEIGHT,
    ) -> None:
        self._model = load_model()
        self._data = mujoco.MjData(self._model)
        self._size = (width, height)
        self._cameras: Cameras | None = None
        self._ticks = START_NS // PHYSICS_NS
        self._seed = seed
        model = self._model
        gain = model.actuator_gainprm[:6, 0]
        damping = model.dof_damping[:6] - model.actuator_biasprm[:6, 2]
        self._lead = damping / gain
        self._cube_qpos = {n: int(model.joint(body_name(n)).qposadr[0]) for n in CUBES}
        self._cube_dof = {n: int(model.joint(body_name(n)).dofadr[0]) for n in CUBES}
        self._mocap = {n: int(model.body(body_name(n)).mocapid[0]) for n in BINS}
        self.controllers = {
            "arm_controller": TrajectoryController(ARM_JOINTS, HOME),
            "gripper_controller": TrajectoryController((FINGER_JOINT,), np.array([FINGER_OPEN])),
        }
        self.place_arm(HOME, FINGER_OPEN)
        self.reset_scene(seed, binned)

    @property
    def time_ns(self) -> int:
        """Simulated time, in [ns]."""
        return self._ticks * PHYSICS_NS

    def step(self, period_ns: int) -> None:
        """Advance physics; the controllers are sampled at each physics step.

        Args:
            period_ns: A multiple of the physics step of 2.5 ms.

        Raises:
            SimError: It is not.
        """
        count, rest = divmod(period_ns, PHYSICS_NS)
        if rest or count < 1:
            raise SimError(f"step of {period_ns} ns, expected a multiple of {PHYSICS_NS} ns")
        data = self._data
        times = (self._ticks + np.arange(count, dtype=np.int64)) * PHYSICS_NS
        arm, arm_velocity = self.controllers["arm_controller"].sample(
            times, Measured(position=data.qpos[:6].copy(), velocity=data.qvel[:6].copy())
        )
        gripper, _ = self.controllers["gripper_controller"].sample(
            times, Measured(position=data.qpos[6:7].copy(), velocity=data.qvel[6:7].copy())
        )
        ctrl = np.concatenate([arm + self._lead * arm_velocity, gripper], axis=1)
        for row in ctrl:
            data.ctrl[:] = row
            mujoco.mj_step(self._model, data)
        self._ticks += count

    def joint_positions(self) -> dict[str, float]:
        """Positions of the arm's joints [rad] and of `finger_joint` [m]."""
        return dict(zip(JOINTS, self._data.qpos[:7].tolist(), strict=True))

    def joint_velocities(self) -> dict[str, float]:
        """Velocities of the same joints, in [rad/s] and [m/s]."""
        return dict(zip(JOINTS, self._data.qvel[:7].tolist(), strict=True))

    def render(self, camera: str) -> npt.NDArray[np.uint8]:
        """Take a picture now. Call it from one thread only.

        Returns:
            RGB. Shape (H, W, 3).

        Raises:
            NoGraphics: Images cannot be rendered on this machine.
            SimError: There is no such camera.
        """
        if self._cameras is None:
            width, height = self._size
            self._cameras = Cameras(self._model, self._data, width=width, height=height)
            mujoco.mj_forward(self._model, self._data)
        return self._cameras.render(camera)

    def truth(self) -> SimTruth:
        """The state now."""
        qpos, qvel = self._data.qpos.copy(), self._data.qvel.copy()
        objects = {}
        for name, start in self._cube_qpos.items():
            objects[name] = ObjectPose(
                position=qpos[start : start + 3], quaternion=qpos[start + 3 : start + 7]
            )
        for name, index in self._mocap.items():
            objects[name] = ObjectPose(
                position=self._data.mocap_pos[index].copy(),
                quaternion=self._data.mocap_quat[index].copy(),
            )
        qpos.setflags(write=False)
        qvel.setflags(write=False)
        return SimTruth(
            stamp_ns=self.time_ns, qpos=qpos, qvel=qvel, objects=objects, seed=self._seed
        )

    def reset_scene(self, seed: int, binned: Sequence[str] | Mapping[str, str] = ()) -> None:
        """Lay out another scene. Robot, controllers and time stay as they are.

        Raises:
            SimError: An unknown cube.
        """
        scene = make_scene(seed, binned)
        data = self._data
        for name, start in self._cube_qpos.items():
            spot = scene[name]
            half = spot.yaw / 2
            data.qpos[start : start + 7] = (
                *(spot.x, spot.y, spot.z),
                *(np.cos(half), 0.0, 0.0, np.sin(half)),
            )
            dof = self._cube_dof[name]
            data.qvel[dof : dof + 6] = 0.0
        for name, index in self._mocap.items():
            data.mocap_pos[index] = (scene[name].x, scene[name].y, 0.0)
        self._seed = seed
        mujoco.mj_forward(self._model, data)

    def place_arm(self, arm: Array, finger: float) -> None:
        """Put the arm somewhere at once and hold it there: for data collection, not for a run.

        Args:
            arm: Joints, in [rad]. Shape (6,).
            finger: Opening, in [m].
        """
        data = self._data
        data.qpos[:6] = arm
        data.qpos[6:8] = finger
        data.qvel[:8] = 0.0
        data.qacc_warmstart[:] = 0.0
        self.controllers["arm_controller"].hold(np.asarray(arm, dtype=float))
        self.controllers["gripper_controller"].hold(np.array([finger]))
        mujoco.mj_forward(self._model, data)

    def close(self) -> None:
        """Free the graphics memory."""
        if self._cameras is not None:
            self._cameras.close()
            self._cameras = None
