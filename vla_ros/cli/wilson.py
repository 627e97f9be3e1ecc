"""How sure a success rate is."""

from __future__ import annotations

import math

Z95 = 1.959964


def wilson_interval(successes: int, episodes: int) -> tuple[float, float]:
    """95 % interval of a success probability (Wilson, 1927).

    Args:
        successes: Between 0 and `episodes`.
        episodes: At least 1.
    """
    if not 0 <= successes <= episodes or episodes < 1:
        raise ValueError(f"{successes} of {episodes} is no count of successes")
    rate, z2 = successes / episodes, Z95**2
    middle = (rate + z2 / (2 * episodes)) / (1 + z2 / episodes)
    spread = Z95 * math.sqrt(rate * (1 - rate) / episodes + z2 / (4 * episodes**2))
    spread /= 1 + z2 / episodes
    return max(0.0, middle - spread), min(1.0, middle + spread)
