"""The film of a run: its cameras side by side, the instruction, the subtask, the outcome."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from vla_ros.data.run_bag import BadRunError, RunBag

BAR_HEIGHT = 76
BACKGROUND = (18, 22, 28)
WHITE, GREY, CYAN = (240, 243, 246), (139, 148, 158), (88, 196, 221)
COLOURS = {"SUCCEEDED": (86, 211, 100), "REFUSED": (227, 179, 65)}
FAILURE = (248, 81, 73)


@dataclass(frozen=True, kw_only=True)
class Caption:
    """What the bar says from `t_ns` (ROS time) on."""

    t_ns: int
    instruction: str
    subtask: str = ""
    outcome: str = ""


def _font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts/ttf" / name), size)


class FrameDrawer:
    """Puts camera images of one instant side by side over a caption bar."""

    def __init__(self, labels: Sequence[str]) -> None:
        self._labels = tuple(labels)
        self._title, self._text, self._small = _font(20, bold=True), _font(16), _font(13)

    def draw(
        self, images: Sequence[NDArray[np.uint8]], caption: Caption | None, t_s: float
    ) -> NDArray[np.uint8]:
        """One frame, uint8, shape (H + bar, sum of W, 3), sides even."""
        height = max(image.shape[0] for image in images)
        width = sum(image.shape[1] for image in images)
        frame = Image.new("RGB", (width + width % 2, height + BAR_HEIGHT + height % 2), BACKGROUND)
        pen = ImageDraw.Draw(frame)
        x = 0
        for image, label in zip(images, self._labels, strict=True):
            frame.paste(Image.fromarray(np.ascontiguousarray(image)), (x, 0))
            pen.text(
                (x + 10, 8),
                label,
                font=self._small,
                fill=WHITE,
                stroke_width=2,
                stroke_fill=BACKGROUND,
            )
            x += image.shape[1]
        y = height + 12
        pen.text((width - 14, y), f"{t_s:5.1f} s", font=self._text, fill=GREY, anchor="ra")
        if caption is None:
            pen.text((14, y), "waiting for a goal", font=self._title, fill=GREY)
            return np.asarray(frame)
        pen.text((14, y), f"“{caption.instruction}”", font=self._title, fill=WHITE)
        if caption.outcome:
            colour = COLOURS.get(caption.outcome, FAILURE)
            pen.text((14, y + 32), caption.outcome.lower(), font=self._text, fill=colour)
        elif caption.subtask:
            pen.text((14, y + 32), f"→  {caption.subtask}", font=self._text, fill=CYAN)
        return np.asarray(frame)


def run_frames(
    bag: RunBag, topics: dict[str, str], captions: Sequence[Caption]
) -> list[tuple[int, NDArray[np.uint8]]]:
    """(stamp [ns], frame) for each stamp at which every camera has an image.

    Args:
        bag: the run.
        topics: image topic by camera key; the first is the anchor.
        captions: in order of time.
    """
    anchor, *others = topics.items()
    other_images = [dict(bag.images(topic)) for _, topic in others]
    drawer = FrameDrawer(tuple(topics))
    frames: list[tuple[int, NDArray[np.uint8]]] = []
    first_ns: int | None = None
    for t_ns, image in bag.images(anchor[1]):
        images = [image, *(other[t_ns] for other in other_images if t_ns in other)]
        if len(images) < len(topics):
            continue
        first_ns = t_ns if first_ns is None else first_ns
        current = next((c for c in reversed(captions) if c.t_ns <= t_ns), None)
        frames.append((t_ns, drawer.draw(images, current, (t_ns - first_ns) * 1e-9)))
    if not frames:
        raise BadRunError(
            f"{bag.path}: no instant at which all of {', '.join(topics)} have an image"
        )
    return frames


def write_mp4(path: Path, frames: Sequence[NDArray[np.uint8]], fps: int) -> None:
    """H.264, yuv420p, plays everywhere."""
    with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
        height, width = frames[0].shape[:2]
        stream = container.add_stream(
            "libx264", rate=Fraction(fps), options={"crf": "20", "preset": "fast"}
        )
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))


def write_gif(path: Path, frames: Sequence[NDArray[np.uint8]], fps: int, width: int) -> None:
    """An animated picture for a web page, scaled to `width` pixels."""
    height = round(frames[0].shape[0] * width / frames[0].shape[1])
    pictures = [
        Image.fromarray(frame).resize((width, height), Image.Resampling.LANCZOS) for frame in frames
    ]
    palette = pictures[len(pictures) // 2].quantize(128)
    small = [p.quantize(palette=palette, dither=Image.Dither.NONE) for p in pictures]
    small[0].save(
        path,
        save_all=True,
        append_images=small[1:],
        duration=round(1000 / fps),
        loop=0,
        optimize=True,
    )
