"""What all processors share."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from vla_ros.errors import VlaError

Floats = npt.NDArray[np.floating[Any]]


class ProcessorError(VlaError):
    """A value that cannot be brought into the network's space."""
