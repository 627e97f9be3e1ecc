"""Which precision a run computes in."""

from __future__ import annotations

import math
import time

import torch

from vla_ros.train.config import TrainConfig


def wants_bfloat16(config: TrainConfig, device: torch.device) -> bool:
    """Whether to train in bfloat16; "auto" times a small product on a CPU."""
    if config.precision != "auto":
        return config.precision == "bfloat16"
    return device.type == "cuda" or _product_s(torch.bfloat16) < 0.7 * _product_s(torch.float32)


def _product_s(dtype: torch.dtype) -> float:
    """Best CPU time of a matrix product of the size that training has, in seconds."""
    a, b = torch.ones(1024, 384, dtype=dtype), torch.ones(384, 384, dtype=dtype)
    best = math.inf
    for _ in range(5):
        begin = time.process_time()
        a @ b
        best = min(best, time.process_time() - begin)
    return best
