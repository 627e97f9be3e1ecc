"""Copy a reference tokenizer and its vectors here; refuses where ours differs from it.

    python test/golden/fast/make.py REFERENCE

REFERENCE holds ``tokenizer/`` and ``vectors.safetensors``: Physical Intelligence's processor,
fitted on ``train_actions``, and what it makes of ``actions``.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from vla_ros.policy.models.fast import load_fast


def main(reference: Path) -> None:
    """Check, then copy."""
    tokenizer = load_fast(reference / "tokenizer")
    vectors = load_file(reference / "vectors.safetensors")
    for chunk, tokens, length, decoded in zip(
        vectors["actions"],
        vectors["tokens"],
        vectors["token_lengths"],
        vectors["decoded"],
        strict=True,
    ):
        assert tokenizer.encode(chunk) == tokens[:length].tolist()
        np.testing.assert_allclose(tokenizer.decode(tokens[:length]), decoded, atol=1e-9)
    here = Path(__file__).parent
    for name in ("tokenizer/tokenizer.json", "tokenizer/processor_config.json"):
        shutil.copyfile(reference / name, here / Path(name).name)
    shutil.copyfile(reference / "vectors.safetensors", here / "golden.safetensors")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
