"""What our policy server says about its policy, so that a client needs no file to use it.

Beside openpi's protocol, of which every message stays valid, one message of ours is a map with

* ``images``: camera key -> uint8 array (H, W, 3), or a JPEG (see `vla_ros.policy.remote.jpeg`),
* ``state``: array (S,), ``prompt``: text,
* ``t_obs_ns``: the observation's instant, by any clock in [ns]; when it came, where it is left out,
* ``seed``: integer, and ``guidance``: the fields of `Guidance`, both optional,
* ``history``: maps of ``images`` and ``state``, the oldest first, at most ``n_obs_steps - 1``,

or ``{"ping": true}``, or ``{"reset": true}``, which may carry the ``seed`` of the connection. Every
answer carries ``clock``: when the message came and when the answer went, in [ns] of the server's
wall clock. A text message in place of an answer is the reason why there is none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, cast

from vla_ros.errors import VlaError
from vla_ros.policy.protocol import PolicySpec
from vla_ros.spaces.time_contract import TimeContract

SCHEMA = 2
KEY = "vla_ros"


class SchemaError(VlaError):
    """The server speaks another version, or its description does not make a policy."""


def describe(spec: PolicySpec) -> dict[str, Any]:
    """The metadata that our server sends first."""
    return {
        KEY: {
            "schema": SCHEMA,
            "name": spec.name,
            "model_id": spec.model_id,
            "camera_keys": list(spec.camera_keys),
            "image_size": list(spec.image_size),
            "state_names": list(spec.state_names),
            "action_names": list(spec.action_names),
            "horizon": spec.horizon,
            "time_contract": spec.contract.to_dict(),
            "rtc": spec.rtc,
            "rtc_max_delay": spec.rtc_max_delay,
            "n_obs_steps": spec.n_obs_steps,
            "ensemble_m": spec.ensemble_m,
        }
    }


def spec_from(metadata: Mapping[str, Any], where: str) -> PolicySpec:
    """Inverse of `describe`.

    Args:
        metadata: What the server sent first.
        where: Its address, for the error's text.

    Raises:
        SchemaError: No server of ours, another version, or a part is missing or of another type.
    """
    about = metadata.get(KEY)
    if not isinstance(about, Mapping):
        raise SchemaError(
            f"{where} does not describe its policy: it is no `vla serve`. Declare names, keys and "
            "timing of an openpi server in a file (config/policies/openpi_example.yaml)"
        )
    if about.get("schema") != SCHEMA:
        raise SchemaError(
            f"{where} speaks schema {about.get('schema')!r}, expected {SCHEMA}; install the same "
            "version of vla_ros on both computers"
        )
    try:
        height, width = (_whole(about, "image_size", size) for size in about["image_size"])
        spec = PolicySpec(
            name=_text(about, "name"),
            model_id=_text(about, "model_id"),
            camera_keys=_texts(about, "camera_keys"),
            image_size=(height, width),
            state_names=_texts(about, "state_names"),
            action_names=_texts(about, "action_names"),
            horizon=_whole(about, "horizon", about["horizon"]),
            contract=TimeContract.from_dict(about["time_contract"]),
            rtc=_rtc(about["rtc"]),
            rtc_max_delay=_delay(about["rtc_max_delay"]),
            n_obs_steps=_whole(about, "n_obs_steps", about["n_obs_steps"]),
            ensemble_m=float(about["ensemble_m"]),
        )
    except (KeyError, TypeError, ValueError, VlaError) as error:
        reason = f"'{error.args[0]}' is missing" if isinstance(error, KeyError) else str(error)
        raise SchemaError(f"{where} describes its policy wrongly: {reason}") from error
    return spec


def _text(about: Mapping[str, Any], key: str) -> str:
    value = about[key]
    if not isinstance(value, str) or not value:
        raise TypeError(f"'{key}' is {value!r}, expected a text")
    return value


def _texts(about: Mapping[str, Any], key: str) -> tuple[str, ...]:
    value = about[key]
    if not isinstance(value, list | tuple) or not all(isinstance(v, str) and v for v in value):
        raise TypeError(f"'{key}' is {value!r}, expected texts")
    return tuple(value)


def _whole(about: Mapping[str, Any], key: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise TypeError(f"'{key}' is {about[key]!r}, expected whole numbers above 0")
    return value


def _rtc(value: Any) -> Literal["none", "guided", "prefix"]:
    if value not in ("none", "guided", "prefix"):
        raise TypeError(f"'rtc' is {value!r}, expected none, guided or prefix")
    return cast(Literal["none", "guided", "prefix"], value)


def _delay(value: Any) -> int | None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 0):
        raise TypeError(f"'rtc_max_delay' is {value!r}, expected rows, or nothing")
    return value
