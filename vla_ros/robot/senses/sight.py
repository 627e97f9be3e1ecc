"""One camera's messages as pictures in dataset space, or refusals. It keeps nothing."""

from __future__ import annotations

from vla_ros.robot.senses.bridged_images import BridgedImages
from vla_ros.robot.spec.streams import CameraSpec, Stream
from vla_ros.spaces.images import ImageError, Rgb, decode_compressed, decode_image
from vla_ros.spaces.raw_images import ENCODINGS, Buffer
from vla_ros.sync import Consequence, Frame, Refusal, StreamConfig

_KEPT = 128


class Sight:
    """Reads one camera.

    Args:
        camera: what the robot file says of it.

    Attributes:
        stream: its stream in the synchroniser.

    Raises:
        BridgeMissing: the encoding needs cv_bridge, and it is not there.
    """

    def __init__(self, camera: CameraSpec) -> None:
        self._camera = camera
        self._transform = camera.transform
        self._bridge = None if camera.encoding in ENCODINGS else BridgedImages(camera.encoding)
        self.stream = StreamConfig(
            name=camera.key,
            strategy=camera.match,
            tolerance_ns=camera.tolerance_ns,
            on_loss=camera.on_loss,
            clock=camera.clock,
            latency_ns=camera.latency_ns,
            pairs={other: round(within * 1e9) for other, within in camera.pairs.items()},
            max_age_ns=camera.max_age_ns,
            wait_ns=camera.wait_ns,
            frozen_motion=camera.frozen_motion,
            history_count=_KEPT,
            source=camera.topic,
        )

    def read(
        self,
        encoding: str,
        height: int,
        width: int,
        step: int,
        data: Buffer,
        *,
        big_endian: bool = False,
    ) -> Frame | Refusal:
        """Read the fields of a sensor_msgs/Image."""
        camera = self._camera
        if encoding != camera.encoding:
            return self._refusal(
                what="the image has another encoding than the robot file says",
                expected=camera.encoding,
                got=f"'{encoding}'",
                do="mend the camera driver's encoding, or the robot file's",
            )
        if (height, width) != (camera.raw_height, camera.raw_width):
            return self._other_size((height, width, 3))
        try:
            if self._bridge is not None:
                return self.take(self._bridge.read(height, width, step, data, big_endian))
            rgb = decode_image(
                encoding,
                height,
                width,
                step,
                data,
                big_endian=big_endian,
                depth_range_m=camera.depth_range_m,
            )
        except ImageError as error:
            return self._unreadable(error)
        return self.take(rgb)

    def read_compressed(self, data: Buffer) -> Frame | Refusal:
        """Read the bytes of a sensor_msgs/CompressedImage."""
        try:
            return self.take(decode_compressed(data))
        except ImageError as error:
            return self._unreadable(error)

    def take(self, rgb: Rgb) -> Frame | Refusal:
        """Crop and resize a raw image (H, W, 3)."""
        if rgb.shape != (self._camera.raw_height, self._camera.raw_width, 3):
            return self._other_size(rgb.shape)
        image, signature = self._transform.apply_signed(rgb)
        return Frame(image, signature)

    def _other_size(self, got: tuple[int, ...]) -> Refusal:
        return self._refusal(
            what="the image has another size or form than the robot file says",
            expected=f"({self._camera.raw_height}, {self._camera.raw_width}, 3)",
            got=str(got),
            do="mend the camera driver's resolution, or raw_height, raw_width and crop",
        )

    def _unreadable(self, error: ImageError) -> Refusal:
        camera = self._camera
        return self._refusal(
            what="the image's bytes cannot be read",
            expected=f"{camera.encoding} of {camera.raw_width}x{camera.raw_height}",
            got=str(error),
            do="mend the camera driver",
        )

    def _refusal(self, *, what: str, expected: str, got: str, do: str) -> Refusal:
        return Refusal(
            stream=self._camera.key,
            what=what,
            expected=expected,
            got=got,
            do=do,
            consequence=structural(self._camera),
        )


def structural(stream: Stream) -> Consequence:
    """What a message of the wrong form leads to: it will not heal, so it stops where declared."""
    return "stop" if stream.on_loss == "stop" else "skip"
