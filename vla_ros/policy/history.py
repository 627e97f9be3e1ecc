"""The observations before the newest, for policies that look at several."""

from __future__ import annotations

from collections import deque

from vla_ros.spaces.observation import Observation


class ObservationHistory:
    """Keeps what a policy of several observations needs, one row of its training data apart.

    Args:
        count: Observations it looks at, the newest included.
        dt_ns: Time between two of them in its training data, in [ns].
    """

    def __init__(self, count: int, dt_ns: int) -> None:
        self._back = [dt_ns * step for step in range(count - 1, 0, -1)]
        self._kept: deque[Observation] = deque()

    def push(self, observation: Observation) -> None:
        """Take the newest observation and drop what nobody will ask for."""
        reach = self._back[0] if self._back else 0
        while len(self._kept) > 1 and self._kept[1].t_obs_ns <= observation.t_obs_ns - reach:
            self._kept.popleft()
        self._kept.append(observation)

    def before(self, newest: Observation) -> tuple[Observation, ...]:
        """The observations nearest to one, two, ... rows before ``newest``, oldest first.

        Where nothing is that old, at the beginning of a run, the oldest stands in.
        """
        kept = [seen for seen in self._kept if seen.t_obs_ns <= newest.t_obs_ns] or [newest]
        due = (newest.t_obs_ns - back for back in self._back)
        return tuple(min(kept, key=lambda seen: abs(seen.t_obs_ns - at)) for at in due)

    def clear(self) -> None:
        """Forget everything: a run begins, or the clock jumped."""
        self._kept.clear()
