"""An off-screen OpenGL context for MuJoCo: EGL where it works, else OSMesa, else a clear error.

The choice is made by asking the libraries themselves before PyOpenGL is imported, because PyOpenGL
cannot change its platform afterwards. ``MUJOCO_GL`` = ``egl`` or ``osmesa`` forces one.
"""

from __future__ import annotations

import ctypes
import os
from typing import Any, Literal

from vla_ros.errors import VlaError

Backend = Literal["egl", "osmesa"]
APT_COMMAND = "apt-get install -y libegl1 libegl-mesa0 libgl1-mesa-dri libosmesa6"
_PLATFORM_DEVICE = 0x313F


class NoGraphics(VlaError):
    """No way to render images on this machine."""


def _egl_problem() -> str | None:
    """Say why EGL does not work without a display, or None if it does."""
    try:
        egl = ctypes.CDLL("libEGL.so.1")
    except OSError as error:
        return f"libEGL.so.1 cannot be loaded ({error})"
    egl.eglGetProcAddress.restype = ctypes.c_void_p
    query = egl.eglGetProcAddress(b"eglQueryDevicesEXT")
    get_display = egl.eglGetProcAddress(b"eglGetPlatformDisplayEXT")
    if not query or not get_display:
        return "EGL has no device extension"
    devices = (ctypes.c_void_p * 16)()
    count = ctypes.c_int(0)
    query_type = ctypes.CFUNCTYPE(
        ctypes.c_uint, ctypes.c_int, ctypes.POINTER(ctypes.c_void_p), ctypes.POINTER(ctypes.c_int)
    )
    if not query_type(query)(16, devices, ctypes.byref(count)) or count.value == 0:
        return "EGL finds no device"
    display_type = ctypes.CFUNCTYPE(
        ctypes.c_void_p, ctypes.c_uint, ctypes.c_void_p, ctypes.c_void_p
    )
    egl.eglInitialize.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p]
    egl.eglInitialize.restype = ctypes.c_uint
    for device in devices[: count.value]:
        display = display_type(get_display)(_PLATFORM_DEVICE, device, None)
        if display and egl.eglInitialize(display, None, None):
            return None
    return "no EGL device can be initialised"


def _osmesa_problem() -> str | None:
    """Say why OSMesa does not work, or None if it does."""
    for name in ("libOSMesa.so.8", "libOSMesa.so.6", "libOSMesa.so"):
        try:
            ctypes.CDLL(name)
        except OSError:
            continue
        return None
    return "libOSMesa.so.8 cannot be loaded"


_PROBES = {"egl": _egl_problem, "osmesa": _osmesa_problem}


def choose_backend() -> Backend:
    """Find out how images can be rendered here.

    Raises:
        NoGraphics: Neither EGL nor OSMesa works, or the one that MUJOCO_GL names does not.
    """
    wanted = os.environ.get("MUJOCO_GL", "").strip().lower()
    order: tuple[Backend, ...] = ("egl", "osmesa")
    if wanted == "egl":
        order = ("egl",)
    elif wanted == "osmesa":
        order = ("osmesa",)
    elif wanted:
        raise NoGraphics(
            f"MUJOCO_GL is '{wanted}', expected 'egl' or 'osmesa'; unset it to let us choose"
        )
    problems = []
    for backend in order:
        problem = _PROBES[backend]()
        if problem is None:
            return backend
        problems.append(f"{backend}: {problem}")
    raise NoGraphics(
        f"cannot render camera images ({'; '.join(problems)}); on Debian or Ubuntu "
        f"run: {APT_COMMAND}"
    )


def create_context(width: int, height: int) -> Any:
    """Create an off-screen OpenGL context, not yet current.

    Returns:
        An object with `make_current()` and `free()`.

    Raises:
        NoGraphics: As `choose_backend`, or the context cannot be created.
    """
    backend = choose_backend()
    os.environ.setdefault("PYOPENGL_PLATFORM", backend)
    try:
        if backend == "egl":
            from mujoco.egl import GLContext
        else:
            from mujoco.osmesa import GLContext
        return GLContext(width, height)
    except (ImportError, AttributeError, RuntimeError) as error:
        raise NoGraphics(
            f"{backend} was found but makes no OpenGL context ({error}); on Debian or Ubuntu run: "
            f"{APT_COMMAND}"
        ) from error
