"""Robot files: YAML and URDF to a checked ``RobotSpec``, or every problem at once in words."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from pydantic import BaseModel, ValidationError

from vla_ros.errors import VlaError
from vla_ros.robot.files import shared_folder
from vla_ros.robot.near import did_you_mean
from vla_ros.robot.spec.robot import JointLimits, RobotSpec, spec_hash
from vla_ros.robot.spec.urdf import UrdfError, UrdfJoint, merge_limits, read_urdf
from vla_ros.robot.spec.yaml_file import YamlFile, YamlFileError

if TYPE_CHECKING:
    from vla_ros.robot.poses.workspace import Workspace

__all__ = ["RobotFileError", "load_robot", "load_workspace", "robot_path", "spec_hash", "urdf_text"]


class RobotFileError(VlaError):
    """A robot file is wrong; the text lists every problem with file, line and what to do."""


def load_robot(source: str | Path) -> RobotSpec:
    """Read and check a robot file, with the limits of its URDF merged in.

    Args:
        source: path of a YAML file, or the name of one in ``config/robots`` (``sim_arm``).

    Returns:
        The spec; ``limits`` holds the complete limits of every joint that an output commands.

    Raises:
        RobotFileError: the file or its URDF is wrong.
    """
    path = robot_path(source)
    try:
        file = YamlFile.read(path)
    except YamlFileError as error:
        raise RobotFileError(str(error)) from None
    try:
        spec = RobotSpec.model_validate(file.values)
    except ValidationError as error:
        raise RobotFileError(_explain(file, error)) from None
    return _with_limits(file, spec)


def robot_path(source: str | Path) -> Path:
    """The file that ``source`` (a path or a packaged name) means.

    Raises:
        RobotFileError: there is no such file.
    """
    path = Path(source).expanduser()
    if path.is_file():
        return path
    folder = shared_folder() / "config" / "robots"
    packaged = folder / f"{source}.yaml"
    if packaged.is_file():
        return packaged
    names = sorted(p.stem for p in folder.glob("*.yaml"))
    raise RobotFileError(
        f"no robot file '{source}': expected a path, or one of {', '.join(names)}"
        f"{did_you_mean(str(source), names)}"
    )


def urdf_text(spec: RobotSpec, robot_file: Path) -> str | None:
    """Text of the robot's URDF, looked for beside the robot file and in the shared folder.

    Raises:
        RobotFileError: the file names a URDF that is nowhere.
    """
    if spec.urdf is None:
        return None
    candidates = [robot_file.parent / spec.urdf, shared_folder() / spec.urdf]
    for candidate in candidates:
        if candidate.is_file():
            return candidate.read_text(encoding="utf-8")
    raise RobotFileError(
        f"{robot_file}: urdf '{spec.urdf}' was not found; looked for "
        f"{' and '.join(map(str, candidates))}"
    )


def load_workspace(spec: RobotSpec, source: str | Path) -> Workspace | None:
    """Bounds in task space of a robot that `load_robot` has read from ``source``, if it has any."""
    if spec.workspace is None:
        return None
    from vla_ros.robot.poses.workspace import workspace_of  # MuJoCo only where it is used

    return workspace_of(spec, urdf_text(spec, robot_path(source)))


def _with_limits(file: YamlFile, spec: RobotSpec) -> RobotSpec:
    text = urdf_text(spec, file.path)
    problems: list[str] = []
    joints: dict[str, UrdfJoint] | None = None
    if text is not None:
        try:
            joints = read_urdf(text)
        except UrdfError as error:
            raise RobotFileError(f"{file.where(['urdf'])}: {error}") from None
        problems += [
            f"{file.where(['state', 'joints', i])}: joint '{joint}' is not in the URDF, which "
            f"has {', '.join(joints)}{did_you_mean(joint, joints)}"
            for i, joint in enumerate(spec.state.joints)
            if joint not in joints and joint not in spec.state.derived
        ]
        problems += [
            f"{file.where(['state'])}: joint '{joint}' slides, so {source.topic} cannot give it in "
            "deg; name it under derived, with the scale that makes metres of what the driver says"
            for source in spec.state.joint_sources
            for joint in source.measured
            if source.unit == "deg" and joint in joints and joints[joint].kind == "prismatic"
        ]
    limits: dict[str, JointLimits] = {}
    for joint in [j for o in spec.outputs if o.commands_joints for j in o.joints]:
        try:
            limits[joint] = merge_limits(joint, joints, spec.limits.get(joint))
        except UrdfError as error:
            problems.append(f"{file.where(['limits', joint])}: {error}")
    problems += [
        f"{file.where(['limits', joint])}: joint '{joint}' has no limit for effort; add it"
        for output in spec.outputs
        for joint in output.joints
        if output.controller == "forward_effort" and joint in limits and not limits[joint].effort
    ]
    for i, output in enumerate(spec.outputs):
        problems += [
            f"{file.where(['outputs', i, field])}: {value} is outside the limits of "
            f"'{output.joints[0]}'"
            for field in ("closed_position", "open_position")
            if (value := getattr(output, field)) is not None
            and output.joints[0] in limits
            and not _inside(value, limits[output.joints[0]])
        ]
    for pose, positions in spec.poses.items():
        problems += [
            f"{file.where(['poses', pose, joint])}: {value} is outside the limits "
            f"[{limits[joint].lower}, {limits[joint].upper}]"
            for joint, value in positions.items()
            if joint in limits and not _inside(value, limits[joint])
        ]
    spec = spec.model_copy(update={"limits": limits}).with_urdf(text)
    if (spec.pose_slices or spec.state.poses) and not problems:
        problems += _pose_problems(file, spec)
    if spec.workspace is not None and not problems:
        from vla_ros.robot.poses.kinematics import KinematicsError  # MuJoCo only where it is used
        from vla_ros.robot.poses.workspace import workspace_of

        try:
            workspace_of(spec, text)
        except KinematicsError as error:
            problems.append(f"{file.where(['workspace'])}: {error}")
    if problems:
        raise RobotFileError("\n".join(problems))
    return spec


def _pose_problems(file: YamlFile, spec: RobotSpec) -> list[str]:
    from vla_ros.robot.outputs.pose import pose_outputs_of
    from vla_ros.robot.poses.kinematics import KinematicsError  # MuJoCo and mink only where used
    from vla_ros.robot.poses.pose_execution import pose_columns_of
    from vla_ros.robot.senses.state_vector import StateVector

    problems = []
    checks = (("state", StateVector), ("action", pose_columns_of), ("action", pose_outputs_of))
    for what, check in checks:
        try:
            check(spec)
        except KinematicsError as error:
            problems.append(f"{file.where([what])}: {error}")
    return problems


def _inside(value: float, limits: JointLimits) -> bool:
    above = limits.lower is None or value >= limits.lower
    return above and (limits.upper is None or value <= limits.upper)


def _explain(file: YamlFile, error: ValidationError) -> str:
    lines = []
    for problem in error.errors():
        location = problem["loc"]
        where = file.where(location)
        if problem["type"] == "extra_forbidden":
            known = _keys_at(location[:-1])
            hint = did_you_mean(str(location[-1]), known) or f"; expected one of {', '.join(known)}"
            lines.append(f"{where}: unknown key{hint}")
        elif problem["type"] == "missing":
            lines.append(f"{where}: is missing; add it")
        elif problem["type"] == "union_tag_invalid":
            context = problem["ctx"]
            lines.append(
                f"{where}: kind '{context['tag']}' is unknown; expected one of "
                f"{context['expected_tags']}"
            )
        elif problem["type"] == "value_error":
            lines.append(f"{where}: {str(problem['msg']).removeprefix('Value error, ')}")
        else:
            lines.append(f"{where}: {problem['msg']}, got {problem['input']!r}")
    return "\n".join(lines)


def _keys_at(location: Sequence[str | int]) -> list[str]:
    """Keys that the model at a location of the file knows."""
    models: list[type[BaseModel]] = [RobotSpec]
    for part in location:
        fields = models[0].model_fields
        if isinstance(part, str) and part in fields:
            models = _models_in(fields[part].annotation) or models
        else:  # of several kinds the one that the value says it is
            models = [m for m in models if _is_kind(m, part)] or models
    return list(models[0].model_fields)


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for inner in get_args(annotation) for model in _models_in(inner)]


def _is_kind(model: type[BaseModel], tag: str | int) -> bool:
    return "kind" in model.model_fields and tag in get_args(model.model_fields["kind"].annotation)
