"""Plans on the stamp timeline: joining, scheduling and fencing chunks of actions."""

from vla_ros.chunks.aggregate import BlendWeights, blend, new_share, resample, standing
from vla_ros.chunks.delay import ResponseTime
from vla_ros.chunks.fence import Fence, Refusal, RefusalReason
from vla_ros.chunks.plan import Aggregation, Interpolation, Plan
from vla_ros.chunks.schedule import Joining, Schedule

__all__ = [
    "Aggregation",
    "BlendWeights",
    "Fence",
    "Interpolation",
    "Joining",
    "Plan",
    "Refusal",
    "RefusalReason",
    "ResponseTime",
    "Schedule",
    "blend",
    "new_share",
    "resample",
    "standing",
]
