"""ROS 2 YAML launch files -> the list of nodes they start. Pure: no ROS, no processes.

The subset that our files use, with the meaning that ``launch`` and ``launch_ros`` give it: the
    actions ``arg``, ``let``,
``set_env``, ``push_ros_namespace``, ``include``, ``group`` and ``node``, each with ``if`` /
``unless``, and the substitutions ``$(var name)``, ``$(env NAME default)`` and ``$(find-pkg-share
package)``. Anything else is an error that names the file and the key, never silently ignored. The
same file runs under ``ros2 launch``
(https://docs.ros.org/en/jazzy/How-To-Guides/Launch-file-different-formats.html).
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from vla_ros.errors import VlaError
from vla_ros.ros.launch_text import substitute

ParameterValue = str | int | float | bool | list[Any]


class LaunchFileError(VlaError):
    """A launch file says something that this runner does not understand, or that makes no sense."""


@dataclass(frozen=True, kw_only=True)
class LaunchArgument:
    """One ``arg`` of a launch file, as ``--show-args`` prints it. ``default`` None means:
    required.
    """

    name: str
    default: str | None
    description: str
    choices: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class NodeSpec:
    """One ``node`` of a launch file with every substitution done.

    Attributes:
        namespace: Absolute namespace, "" for the root.
        parameters: In order, later wins: a path is a parameter file, a pair a single parameter.
        required: ``on_exit: shutdown``; when this node ends, the whole graph does.
        environment: Variables set on top of the runner's own.
    """

    package: str
    executable: str
    name: str
    namespace: str
    parameters: tuple[Path | tuple[str, ParameterValue], ...]
    remappings: tuple[tuple[str, str], ...]
    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    required: bool

    @property
    def label(self) -> str:
        """What the output of this node is prefixed with."""
        return self.name or self.executable

    def ros_arguments(self) -> tuple[str, ...]:
        """Command line after the executable: own arguments, then everything ROS."""
        words = [*self.arguments, "--ros-args"]
        if self.name:
            words += ["-r", f"__node:={self.name}"]
        if self.namespace:
            words += ["-r", f"__ns:={self.namespace}"]
        for entry in self.parameters:
            if isinstance(entry, Path):
                words += ["--params-file", str(entry)]
            else:
                words += ["-p", f"{entry[0]}:={_flow(entry[1])}"]
        for source, target in self.remappings:
            words += ["-r", f"{source}:={target}"]
        return tuple(words)


@dataclass(frozen=True, kw_only=True)
class LaunchPlan:
    """Everything a launch file asks for, in file order."""

    arguments: tuple[LaunchArgument, ...]
    nodes: tuple[NodeSpec, ...]


@dataclass
class _Scope:
    """Launch configurations, environment and namespace; a group gets a copy."""

    variables: dict[str, str]
    environment: dict[str, str]
    namespace: str = ""

    def copy(self) -> _Scope:
        return _Scope(dict(self.variables), dict(self.environment), self.namespace)


@dataclass
class _Reader:
    find_share: Callable[[str], Path]
    environ: Mapping[str, str]
    placeholder: str | None = None
    arguments: list[LaunchArgument] = field(default_factory=list)
    nodes: list[NodeSpec] = field(default_factory=list)
    open_files: list[Path] = field(default_factory=list)

    # -- files and actions -------------------------------------------------------------------------

    def file(self, path: Path, scope: _Scope) -> None:
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

    def actions(self, entries: object, scope: _Scope, where: str) -> None:
        if not isinstance(entries, list):
            raise self.error(where, f"expected a list of actions, got {_show(entries)}.")
        for index, entry in enumerate(entries):
            place = f"{where}[{index}]"
            if not isinstance(entry, dict) or len(entry) != 1:
                raise self.error(
                    place, f"expected one action such as `node: {{...}}`, got {_show(entry)}."
                )
            [(kind, body)] = entry.items()
            self.action(str(kind), body, scope, f"{place}.{kind}")

    def action(self, kind: str, body: object, scope: _Scope, place: str) -> None:
        handler = _ACTIONS.get(kind)
        if handler is None:
            raise self.error(place, f"action `{kind}` is not supported{_near(kind, _ACTIONS)}.")
        if isinstance(body, list) and kind == "group":
            body = {"children": body}
        if not isinstance(body, dict):
            raise self.error(place, f"expected keys and values, got {_show(body)}.")
        body = {str(key): value for key, value in body.items()}
        if not self.condition(body, scope, place):
            return
        known = _KEYS[kind]
        for key in body:
            if key not in known:
                raise self.error(
                    f"{place}.{key}", f"key `{key}` is not supported{_near(key, known)}."
                )
        handler(self, body, scope, place)

    def condition(self, body: dict[str, Any], scope: _Scope, place: str) -> bool:
        """Takes ``if`` / ``unless`` out of the body and says whether the action applies."""
        if "if" in body and "unless" in body:
            raise self.error(place, "has both `if` and `unless`; keep one.")
        for key, wanted in (("if", True), ("unless", False)):
            if key in body:
                text = self.value(body.pop(key), scope, f"{place}.{key}")
                word = str(text).strip().lower()
                if word not in ("true", "1", "false", "0"):
                    raise self.error(
                        f"{place}.{key}", f"expected true, false, 1 or 0, got {text!r}."
                    )
                return (word in ("true", "1")) is wanted
        return True

    def do_arg(self, body: dict[str, Any], scope: _Scope, place: str) -> None:
        name = self.text(body, "name", scope, place)
        choices = tuple(
            self.text(c, "value", scope, f"{place}.choice")
            for c in self.entries(body, "choice", place, ("value",))
        )
        default = self.text(body, "default", scope, place) if "default" in body else None
        description = self.text(body, "description", scope, place, default="")
        self.arguments.append(
            LaunchArgument(name=name, default=default, description=description, choices=choices)
        )
        if name not in scope.variables:
            value = self.placeholder if default is None else default
            if value is None:
                raise self.error(place, f"argument `{name}` has no default: give {name}:=VALUE.")
            scope.variables[name] = value
        if choices and scope.variables[name] not in choices:
            got = scope.variables[name]
            raise self.error(
                place, f"argument `{name}` must be one of {', '.join(choices)}; got {got!r}."
            )

    def do_let(self, body: dict[str, Any], scope: _Scope, place: str) -> None:
        scope.variables[self.text(body, "name", scope, place)] = self.text(
            body, "value", scope, place
        )

    def do_set_env(self, body: dict[str, Any], scope: _Scope, place: str) -> None:
        scope.environment[self.text(body, "name", scope, place)] = self.text(
            body, "value", scope, place
        )

    def do_namespace(self, body: dict[str, Any], scope: _Scope, place: str) -> None:
        scope.namespace = _join(scope.namespace, self.text(body, "namespace", scope, place))

    def do_include(self, body: dict[str, Any], scope: _Scope, place: str) -> None:
        path = Path(self.text(body, "file", scope, place))
        for entry in self.entries(body, "arg", place, ("name", "value")):
            name = self.text(entry, "name", scope, f"{place}.arg")
            scope.variables[name] = self.text(entry, "value", scope, f"{place}.arg")
        self.file(
            path, scope
        )  # like `launch`, an include is no scope of its own: wrap it in a group for one

    def do_group(self, body: dict[str, Any], scope: _Scope, place: str) -> None:
        scoped = body.get("scoped", True)
        if not isinstance(scoped, bool):
            raise self.error(f"{place}.scoped", f"expected true or false, got {_show(scoped)}.")
        self.actions(body.get("children"), scope.copy() if scoped else scope, place)

    def do_node(self, body: dict[str, Any], scope: _Scope, place: str) -> None:
        on_exit = self.text(body, "on_exit", scope, place, default="")
        if on_exit not in ("", "shutdown"):
            raise self.error(f"{place}.on_exit", f"expected `shutdown`, got {on_exit!r}.")
        environment = dict(scope.environment)
        for entry in self.entries(body, "env", place, ("name", "value")):
            name = self.text(entry, "name", scope, f"{place}.env")
            environment[name] = self.text(entry, "value", scope, f"{place}.env")
        remap = f"{place}.remap"
        self.nodes.append(
            NodeSpec(
                package=self.text(body, "pkg", scope, place),
                executable=self.text(body, "exec", scope, place),
                name=self.text(body, "name", scope, place, default=""),
                namespace=_join(
                    scope.namespace, self.text(body, "namespace", scope, place, default="")
                ),
                parameters=tuple(
                    self.parameter(entry, scope, f"{place}.param[{i}]")
                    for i, entry in enumerate(
                        self.entries(body, "param", place, ("name", "value", "from"))
                    )
                ),
                remappings=tuple(
                    (self.text(e, "from", scope, remap), self.text(e, "to", scope, remap))
                    for e in self.entries(body, "remap", place, ("from", "to"))
                ),
                arguments=tuple(self.text(body, "args", scope, place, default="").split()),
                environment=environment,
                required=on_exit == "shutdown",
            )
        )

    def parameter(
        self, entry: dict[str, Any], scope: _Scope, place: str
    ) -> Path | tuple[str, ParameterValue]:
        if "from" in entry:
            if len(entry) > 1:
                raise self.error(
                    place, "has `from` beside other keys; a parameter file stands alone."
                )
            path = Path(self.text(entry, "from", scope, place))
            if not path.is_file():
                raise self.error(f"{place}.from", f"parameter file {path} does not exist.")
            return path
        if "value" not in entry:
            raise self.error(place, "a parameter needs `name` and `value`, or `from`.")
        name = self.text(entry, "name", scope, place)
        value = self.value(entry["value"], scope, f"{place}.value")
        # As launch_ros does: a text is read as YAML, so that "$(var seed)" can be a number.
        return name, yaml.safe_load(value) if isinstance(value, str) and value else value

    # -- values ------------------------------------------------------------------------------------

    def entries(
        self, body: dict[str, Any], key: str, place: str, known: Sequence[str]
    ) -> list[dict[str, Any]]:
        """A list of small mappings such as ``param: [{name: a, value: 1}]``; absent means empty."""
        entries = body.get(key, [])
        if not isinstance(entries, list) or not all(isinstance(e, dict) for e in entries):
            raise self.error(
                f"{place}.{key}", f"expected a list of mappings, got {_show(entries)}."
            )
        for entry in entries:
            for name in entry:
                if name not in known:
                    raise self.error(
                        f"{place}.{key}.{name}",
                        f"key `{name}` is not supported{_near(name, known)}.",
                    )
        return entries

    def text(
        self,
        body: Mapping[str, Any],
        key: str,
        scope: _Scope,
        place: str,
        *,
        default: str | None = None,
    ) -> str:
        if key not in body:
            if default is None:
                raise self.error(place, f"needs the key `{key}`.")
            return default
        if not isinstance(body[key], str):  # launch_yaml refuses it too
            raise self.error(
                f"{place}.{key}", f"expected text, got {_show(body[key])}; put it in quotes."
            )
        return str(self.value(body[key], scope, f"{place}.{key}"))

    def value(self, raw: Any, scope: _Scope, place: str) -> Any:
        if not isinstance(raw, str):
            return raw

        def variable(name: str) -> str:
            if name not in scope.variables:
                raise self.error(
                    place, f"$(var {name}): no such argument{_near(name, scope.variables)}."
                )
            return scope.variables[name]

        def environment(name: str, default: str | None = None) -> str:
            found = scope.environment.get(name, self.environ.get(name, default))
            if found is None:
                raise self.error(place, f"$(env {name}): not set, and no default given.")
            return found

        def share(package: str) -> str:
            try:
                return str(self.find_share(package))
            except LookupError as error:
                raise self.error(
                    place,
                    f"package `{package}` not found; source install/setup.bash first.",
                ) from error

        try:
            return substitute(raw, {"var": variable, "env": environment, "find-pkg-share": share})
        except ValueError as error:
            raise self.error(place, str(error)) from error

    def error(self, place: str, text: str) -> LaunchFileError:
        return LaunchFileError(f"{self.open_files[-1]}: {place}: {text}")


_ACTIONS: dict[str, Callable[[_Reader, dict[str, Any], _Scope, str], None]] = {
    "arg": _Reader.do_arg,
    "let": _Reader.do_let,
    "set_env": _Reader.do_set_env,
    "push_ros_namespace": _Reader.do_namespace,
    "include": _Reader.do_include,
    "group": _Reader.do_group,
    "node": _Reader.do_node,
}
_KEYS: dict[str, tuple[str, ...]] = {
    "arg": ("name", "default", "description", "choice"),
    "let": ("name", "value"),
    "set_env": ("name", "value"),
    "push_ros_namespace": ("namespace",),
    "include": ("file", "arg"),
    "group": ("children", "scoped"),
    "node": (
        "pkg",
        "exec",
        "name",
        "namespace",
        "args",
        "param",
        "remap",
        "env",
        "on_exit",
        "output",
    ),
}


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
    reader = _Reader(find_share=find_share, environ=environ, placeholder=placeholder)
    reader.file(Path(path), _Scope(dict(arguments), {}))
    names = [argument.name for argument in reader.arguments]
    for name in arguments:
        if name not in names:
            raise LaunchFileError(f"{path}: no argument `{name}`{_near(name, names)}.")
    return LaunchPlan(arguments=tuple(reader.arguments), nodes=tuple(reader.nodes))


def _join(base: str, namespace: str) -> str:
    """Namespaces as launch_ros joins them: an absolute one replaces, a relative one is appended."""
    if not namespace:
        return base
    if namespace.startswith("/"):
        return namespace.rstrip("/")
    return f"{base}/{namespace}".rstrip("/")


def _flow(value: ParameterValue) -> str:
    """One YAML line that rcl reads back as the same type (text stays text)."""
    text = yaml.safe_dump(value, default_flow_style=True, width=10**9).strip()
    return text.removesuffix("...").strip()


def _show(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _near(word: object, known: object) -> str:
    names = [str(name) for name in known]  # type: ignore[attr-defined]
    close = difflib.get_close_matches(str(word), names, n=1)
    if close:
        return f"; did you mean `{close[0]}`?"
    return f"; known: {', '.join(names)}" if names else ""
