"""Images that have not changed since the chunk before are not encoded again."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn


def reuse_unchanged(encoder: nn.Module) -> None:
    """Make an image encoder remember its last batch, pixel for pixel.

    It pays where a camera delivers fewer frames than there are chunks, or a robot's picture is
    still and free of noise; comparing costs a thousandth of encoding. Not for training.

    Args:
        encoder: Takes images, Shape (N, 3, H, W); its answer's first axis is N, too.
    """
    encoder.forward = _Remembering(encoder.forward)


class _Remembering:
    def __init__(self, encode: Callable[[Tensor], Tensor]) -> None:
        self._encode = encode
        self._seen: Tensor | None = None
        self._tokens: Tensor | None = None

    def __call__(self, images: Tensor) -> Tensor:
        seen, tokens = self._seen, self._tokens
        alike = seen is not None and (seen.shape, seen.device) == (images.shape, images.device)
        if not alike or seen is None or tokens is None:
            tokens = self._encode(images)
        else:
            changed = (seen != images).flatten(1).any(dim=1)
            if changed.any():
                tokens = tokens.clone()
                tokens[changed] = self._encode(images[changed])
        self._seen, self._tokens = images.clone(), tokens
        return tokens
