"""The model card that is written beside the weights."""

from __future__ import annotations

import json
from typing import Any

from vla_ros.policy.checkpoints.nano_config import NanoConfig


def model_card(config: NanoConfig) -> str:
    """Text of README.md in a checkpoint folder."""
    sizes = config.sizes
    training: dict[str, Any] = dict(config.training)
    settings = json.dumps(training.pop("config", {}), indent=2)
    facts = "\n".join(f"- {key}: {value}" for key, value in training.items())
    return f"""# nano for {config.robot}

A small flow-matching vision-language-action policy, trained from scratch in simulation.

- Reads: {", ".join(config.camera_keys)} ({sizes.image_height} x {sizes.image_width} RGB), the state
  ({", ".join(config.state_names)}) and an instruction.
- Writes: {sizes.horizon} rows of {", ".join(config.action_names)}, {config.num_steps} Euler steps.
- Time contract: `{json.dumps(config.time_contract)}`
- Knows: {", ".join(config.object_names)}; {", ".join(config.bin_names)};
  {len(config.vocabulary)} words. Anything else is outside what it was trained on.
- Not a safety function, and not for a robot other than the one it was trained on.

## Training
{facts}

```json
{settings}
```
"""
