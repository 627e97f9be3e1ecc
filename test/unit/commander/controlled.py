"""A commander and a robot that plays its windows: the simulated controller, at 500 Hz."""

from __future__ import annotations

import contextlib

import numpy as np
from bench import MS, TICK, Bench
from robots import ARM

from vla_ros.sim.controllers import (
    Measured,
    TrajectoryController,
    TrajectoryMessage,
    TrajectoryRefused,
)

UPDATE = 2 * MS


class Controlled(Bench):
    """The bench with a trajectory controller that plays the arm's windows, every 2 ms.

    Attributes:
        apart: How far the controller's clock is behind the bridge's, in [ns].
        velocities: What the controller commanded, at each update.
    """

    def __init__(self) -> None:
        super().__init__()
        self.controller = TrajectoryController(ARM, self.arm)
        self.blocked = True  # the controller moves it, not what is commanded
        self.apart = 0
        self.velocities: list[np.ndarray] = []
        self.start()

    def play(self, commands) -> None:
        for name, window in commands.windows:
            if name != "arm":
                continue
            with contextlib.suppress(TrajectoryRefused):
                self.controller.accept(TrajectoryMessage.of(window, ARM), self.now - self.apart)

    def sampled(self, duration_ns: int) -> None:
        times = self.now - self.apart + np.arange(0, duration_ns, UPDATE, dtype=np.int64)
        measured = Measured(position=self.arm, velocity=np.zeros(len(ARM)))
        positions, velocities = self.controller.sample(times, measured)
        self.arm = np.array(positions)[-1]
        self.velocities.extend(np.array(velocities))

    def run(self, ticks: int) -> None:
        for _ in range(ticks):
            self.play(self.tick())
            self.sampled(TICK)

    def held_up(self, ticks: int) -> None:
        """Time passes, nothing is done."""
        self.sampled(TICK * ticks)
        self.now += TICK * (ticks - 1)
        self.steady += TICK * (ticks - 1)

    @property
    def accelerations(self) -> np.ndarray:
        """Between updates. Shape (n, N), in [rad/s^2]."""
        return np.diff(np.array(self.velocities), axis=0) / (UPDATE * 1e-9)
