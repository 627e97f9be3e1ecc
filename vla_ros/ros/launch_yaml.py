"""ROS 2 YAML launch files -> the list of nodes they start. Pure: no ROS, no processes.

The subset that our files use, with the meaning that ``launch`` and ``launch_ros`` give it: the
actions ``arg``, ``let``, ``set_env``, ``push_ros_namespace``, ``include``, ``group`` and ``node``,
each with ``if`` / ``unless``, and the substitutions ``$(var name)``, ``$(env NAME default)`` and
``$(find-pkg-share package)``. Anything else is an error that names the file and the key, never
silently ignored. The same file runs under ``ros2 launch``
(https://docs.ros.org/en/jazzy/How-To-Guides/Launch-file-different-formats.html).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from vla_ros.ros.launch_body import Body, Outside, Scope, near, show
from vla_ros.ros.launch_plan import (
    LaunchArgument,
    LaunchFileError,
    LaunchPlan,
    NodeSpec,
    ParameterValue,
)


@dataclass
class _Reader:
    outside: Outside
    placeholder: str | None
    arguments: list[LaunchArgument] = field(default_factory=list)
    nodes: list[NodeSpec] = field(default_factory=list)
    open_files: list[Path] = field(default_factory=list)

    def file(self, path: Path, scope: Scope) -> None:
        path = path.resolve()
        if path in self.open_files:
            chain = " -> ".join(str(p) for p in [*self.open_files, path])
            raise LaunchFileError(f"{path}: included by itself ({chain}); break the circle.")
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise LaunchFileError(f"{path}: cannot be read ({error.strerror}).") from error
        except yaml.YAMLError as error:
            raise LaunchFileError(f"{path}: not valid YAML: {error}") from error
        if not isinstance(content, dict) or list(content) != ["launch"]:
            raise LaunchFileError(
                f"{path}: expected one top-level key `launch` with a list below it."
            )
        self.open_files.append(path)
        self.actions(content["launch"], scope, "launch")
        self.open_files.pop()

    def actions(self, entries: object, scope: Scope, where: str) -> None:
        if not isinstance(entries, list):
            raise self.error(where, f"expected a list of actions, got {show(entries)}.")
        for index, entry in enumerate(entries):
            place = f"{where}[{index}]"
            if not isinstance(entry, dict) or len(entry) != 1:
                raise self.error(
                    place, f"expected one action such as `node: {{...}}`, got {show(entry)}."
                )
            [(kind, raw)] = entry.items()
            self.action(str(kind), raw, scope, f"{place}.{kind}")

    def action(self, kind: str, raw: object, scope: Scope, place: str) -> None:
        if kind not in _ACTIONS:
            raise self.error(place, f"action `{kind}` is not supported{near(kind, _ACTIONS)}.")
        if isinstance(raw, list) and kind == "group":
            raw = {"children": raw}
        if not isinstance(raw, dict):
            raise self.error(place, f"expected keys and values, got {show(raw)}.")
        body = Body(
            raw={str(key): value for key, value in raw.items()},
            scope=scope,
            outside=self.outside,
            file=self.open_files[-1],
            place=place,
        )
        if _applies(body):
            handler, known = _ACTIONS[kind]
            body.only(known)
            handler(self, body)

    def do_arg(self, body: Body) -> None:
        name, variables = body.text("name"), body.scope.variables
        choices = tuple(entry.text("value") for entry in body.entries("choice", ("value",)))
        default = body.text("default") if "default" in body.raw else None
        description = body.text("description", default="")
        self.arguments.append(
            LaunchArgument(name=name, default=default, description=description, choices=choices)
        )
        if name not in variables:
            value = self.placeholder if default is None else default
            if value is None:
                raise body.error(f"argument `{name}` has no default: give {name}:=VALUE.")
            variables[name] = value
        if choices and variables[name] not in choices:
            raise body.error(
                f"argument `{name}` must be one of {', '.join(choices)}; got {variables[name]!r}."
            )

    def do_let(self, body: Body) -> None:
        body.scope.variables[body.text("name")] = body.text("value")

    def do_set_env(self, body: Body) -> None:
        body.scope.environment[body.text("name")] = body.text("value")

    def do_namespace(self, body: Body) -> None:
        body.scope.namespace = _join(body.scope.namespace, body.text("namespace"))

    def do_include(self, body: Body) -> None:
        path = Path(body.text("file"))
        for entry in body.entries("arg", ("name", "value")):
            body.scope.variables[entry.text("name")] = entry.text("value")
        # Like `launch`, an include is no scope of its own: wrap it in a group for one.
        self.file(path, body.scope)

    def do_group(self, body: Body) -> None:
        scoped = body.raw.get("scoped", True)
        if not isinstance(scoped, bool):
            raise body.error(f"expected true or false, got {show(scoped)}.", "scoped")
        scope = body.scope.copy() if scoped else body.scope
        self.actions(body.raw.get("children"), scope, body.place)

    def do_node(self, body: Body) -> None:
        on_exit = body.text("on_exit", default="")
        if on_exit not in ("", "shutdown"):
            raise body.error(f"expected `shutdown`, got {on_exit!r}.", "on_exit")
        environment = dict(body.scope.environment)
        for entry in body.entries("env", ("name", "value")):
            environment[entry.text("name")] = entry.text("value")
        parameters = body.entries("param", ("name", "value", "from"))
        remappings = body.entries("remap", ("from", "to"))
        self.nodes.append(
            NodeSpec(
                package=body.text("pkg"),
                executable=body.text("exec"),
                name=body.text("name", default=""),
                namespace=_join(body.scope.namespace, body.text("namespace", default="")),
                parameters=tuple(_parameter(entry) for entry in parameters),
                remappings=tuple((entry.text("from"), entry.text("to")) for entry in remappings),
                arguments=tuple(body.text("args", default="").split()),
                environment=environment,
                required=on_exit == "shutdown",
            )
        )

    def error(self, place: str, text: str) -> LaunchFileError:
        return LaunchFileError(f"{self.open_files[-1]}: {place}: {text}")


_ACTIONS: dict[str, tuple[Callable[[_Reader, Body], None], tuple[str, ...]]] = {
    "arg": (_Reader.do_arg, ("name", "default", "description", "choice")),
    "let": (_Reader.do_let, ("name", "value")),
    "set_env": (_Reader.do_set_env, ("name", "value")),
    "push_ros_namespace": (_Reader.do_namespace, ("namespace",)),
    "include": (_Reader.do_include, ("file", "arg")),
    "group": (_Reader.do_group, ("children", "scoped")),
    "node": (
        _Reader.do_node,
        ("pkg", "exec", "name", "namespace", "args", "param", "remap", "env", "on_exit", "output"),
    ),
}
"""What is done, and the keys beside ``if`` and ``unless``."""


def load_launch(
    path: Path,
    arguments: Mapping[str, str],
    *,
    find_share: Callable[[str], Path],
    environ: Mapping[str, str],
    placeholder: str | None = None,
) -> LaunchPlan:
    """Reads a launch file with its includes.

    Args:
        path: The launch file.
        arguments: Values for the file's ``arg`` entries.
        find_share: Package name -> its share folder; raises LookupError when there is none.
        environ: Environment that ``$(env ...)`` reads.
        placeholder: Stands in for required arguments not given, to list a file's arguments.

    Raises:
        LaunchFileError: Names file, place, what was expected and found.
    """
    reader = _Reader(Outside(find_share=find_share, environ=environ), placeholder)
    reader.file(Path(path), Scope(dict(arguments), {}))
    names = [argument.name for argument in reader.arguments]
    for name in arguments:
        if name not in names:
            raise LaunchFileError(f"{path}: no argument `{name}`{near(name, names)}.")
    return LaunchPlan(arguments=tuple(reader.arguments), nodes=tuple(reader.nodes))


def _applies(body: Body) -> bool:
    """Takes ``if`` / ``unless`` out of the body and says whether the action applies."""
    if "if" in body.raw and "unless" in body.raw:
        raise body.error("has both `if` and `unless`; keep one.")
    for key, wanted in (("if", True), ("unless", False)):
        if key in body.raw:
            text = body.value(key)
            del body.raw[key]
            word = str(text).strip().lower()
            if word not in ("true", "1", "false", "0"):
                raise body.error(f"expected true, false, 1 or 0, got {text!r}.", key)
            return (word in ("true", "1")) is wanted
    return True


def _parameter(entry: Body) -> Path | tuple[str, ParameterValue]:
    if "from" in entry.raw:
        if len(entry.raw) > 1:
            raise entry.error("has `from` beside other keys; a parameter file stands alone.")
        path = Path(entry.text("from"))
        if not path.is_file():
            raise entry.error(f"parameter file {path} does not exist.", "from")
        return path
    if "value" not in entry.raw:
        raise entry.error("a parameter needs `name` and `value`, or `from`.")
    name, value = entry.text("name"), entry.value("value")
    # As launch_ros does: a text is read as YAML, so that "$(var seed)" can be a number.
    return name, yaml.safe_load(value) if isinstance(value, str) and value else value


def _join(base: str, namespace: str) -> str:
    """Namespaces as launch_ros joins them: an absolute one replaces, a relative one is appended."""
    if not namespace:
        return base
    if namespace.startswith("/"):
        return namespace.rstrip("/")
    return f"{base}/{namespace}".rstrip("/")
