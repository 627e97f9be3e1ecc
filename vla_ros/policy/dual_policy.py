"""Two systems at two paces: a slow one that looks, a fast one that acts (Helix, GR00T).

The language model reads images and prompt into a scene at its own pace, in its own thread; the
action expert runs for every request, on the newest scene there is and the newest state. The chunk
is due by the newest observation, as ever: only what was seen is older.

    request   0    1    2    3    4    5          state of each: its own
    scene     [--- 0 ---]    [--- 3 ---]
    used      0    0    0    0    0    3

A scene of another prompt or run is never used, and one older than a limit is waited for.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
import torch

from vla_ros.errors import VlaError
from vla_ros.policy.protocol import Policy, PolicyRequest, PolicySpec

_RATE_OVER = 16

T = TypeVar("T")


class DualSystemError(VlaError):
    """A policy that cannot be run at two paces."""


class TwoStagePolicy(Policy, Protocol):
    """A policy that looks and acts apart."""

    @property
    def state_in_words(self) -> bool:
        """Whether the state is part of the prompt, so that `look` would see it, too."""
        ...

    def to(self, device: torch.device) -> None:
        """Compute there from now on."""
        ...

    def look(self, request: PolicyRequest) -> Any:
        """What images and prompt amount to: a scene for `act`."""
        ...

    def act(self, scene: Any, request: PolicyRequest) -> npt.NDArray[np.float64]:
        """The chunk for the state of a request and a scene of the same run. Shape (T, A)."""
        ...


class AtOnce(Executor):
    """Looks in the caller's own time, so what follows does not depend on the machine's load."""

    def submit(self, fn: Callable[..., T], /, *args: object, **kwargs: object) -> Future[T]:
        """Do it now."""
        future: Future[T] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # as a thread's would, it comes out of the future
            future.set_exception(error)
        return future


@dataclass(frozen=True, kw_only=True, eq=False)
class _Sight(Generic[T]):
    prompt: str
    t_ns: int
    scene: Future[T]


class SlowEyes(Generic[T]):
    """Keeps the newest scene, and has the next one made when it is due.

    Args:
        period_ns: Between the observations of two scenes, in [ns]; looking may take longer.
        limit_ns: Oldest scene that is used, by the observations' stamps, in [ns].
        executor: Where scenes are made.
    """

    def __init__(self, period_ns: int, limit_ns: int, executor: Executor) -> None:
        self._period_ns = period_ns
        self._limit_ns = limit_ns
        self._executor = executor
        self._kept: _Sight[T] | None = None
        self._coming: _Sight[T] | None = None
        self.age_ns = 0
        self.looked = Pace()

    def newest(self, t_ns: int, prompt: str, look: Callable[[], T]) -> T:
        """The scene to act on now.

        Args:
            t_ns: Instant of the observation, in [ns].
            prompt: What to do; a scene is made for one prompt.
            look: Makes a scene of that observation.

        Raises:
            Exception: What ``look`` raised.
        """
        newest = self._coming or self._kept
        if newest is not None and (newest.prompt != prompt or t_ns < newest.t_ns):
            self.forget()
        if self._coming is not None and self._coming.scene.done():
            self._take(self._coming)
        if self._coming is None and (
            self._kept is None or t_ns - self._kept.t_ns >= self._period_ns
        ):
            self._coming = _Sight(prompt=prompt, t_ns=t_ns, scene=self._executor.submit(look))
        too_old = self._kept is None or t_ns - self._kept.t_ns > self._limit_ns
        if self._coming is not None and (too_old or self._coming.scene.done()):
            self._take(self._coming)
        assert self._kept is not None  # taken above where there was none
        self.age_ns = t_ns - self._kept.t_ns
        return self._kept.scene.result()

    def forget(self) -> None:
        """A run is over: no scene of it will be used again."""
        self._kept = self._coming = None
        self.looked = Pace()

    def _take(self, sight: _Sight[T]) -> None:
        self._coming = None
        sight.scene.result()
        self._kept = sight
        self.looked.mark(sight.t_ns)


class Pace:
    """How often something happens, by the stamps of the last few times."""

    def __init__(self) -> None:
        self._at: deque[int] = deque(maxlen=_RATE_OVER)

    def mark(self, t_ns: int) -> None:
        """It happened."""
        self._at.append(t_ns)

    @property
    def hz(self) -> float:
        """Times a second; 0 where it did not happen twice."""
        span_ns = self._at[-1] - self._at[0] if self._at else 0
        return (len(self._at) - 1) * 1e9 / span_ns if span_ns > 0 else 0.0


class DualPolicy:
    """A policy whose prefix is refreshed at its own pace.

    It remembers its run, so a server lends it to one robot at a time.

    Args:
        policy: Its network reads the state apart from images and words.
        period_s: Between two looks, by the observations' stamps, in [s].
        limit_s: Oldest look that is acted on, in [s]; at least ``period_s``.
        executor: Where looking happens; None: a thread of its own.

    Raises:
        DualSystemError: The state is among the words, or the limit is below the period.
    """

    stateful = True

    def __init__(
        self,
        policy: TwoStagePolicy,
        *,
        period_s: float,
        limit_s: float,
        executor: Executor | None = None,
    ) -> None:
        if policy.state_in_words:
            raise DualSystemError(
                f"'{policy.spec.name}' reads the state as words of the prompt, so an old scene "
                "would tell it an old state; expected pi0, SmolVLA or GR00T, whose state is a "
                "token of its own. Take 'dual' out of the options"
            )
        if limit_s < period_s:
            raise DualSystemError(
                f"dual: limit_s is {limit_s:g}, expected at least period_s, {period_s:g}"
            )
        self._policy = policy
        self._executor = executor or ThreadPoolExecutor(1, "look")
        self._eyes: SlowEyes[Any] = SlowEyes(
            round(period_s * 1e9), round(limit_s * 1e9), self._executor
        )
        self._acted = Pace()

    @property
    def spec(self) -> PolicySpec:
        """What it needs and gives."""
        return self._policy.spec

    def to(self, device: torch.device) -> None:
        """Compute there from now on."""
        self._eyes.forget()
        self._policy.to(device)

    def infer(self, request: PolicyRequest) -> npt.NDArray[np.float64]:
        """Compute one chunk of the newest scene and the request's state. Shape (T, A).

        Raises:
            VlaError: As that of the policy.
        """
        t_ns = request.observation.t_obs_ns
        scene = self._eyes.newest(t_ns, request.prompt, lambda: self._policy.look(request))
        self._acted.mark(t_ns)
        return self._policy.act(scene, request)

    def status(self) -> Mapping[str, str | int | float | bool]:
        """Both paces and the age of what was seen last, for `/diagnostics`."""
        return {
            "prefix rate [Hz]": round(self._eyes.looked.hz, 2),
            "expert rate [Hz]": round(self._acted.hz, 2),
            "prefix age [s]": round(self._eyes.age_ns / 1e9, 3),
        }

    def reset(self) -> None:
        """Forget what was seen."""
        self._eyes.forget()
        self._acted = Pace()
        self._policy.reset()

    def warm_up(self) -> None:
        """Run the network once on blank input."""
        self._policy.warm_up()

    def close(self) -> None:
        """End the thread."""
        self._executor.shutdown(wait=True, cancel_futures=True)
        self._policy.close()
