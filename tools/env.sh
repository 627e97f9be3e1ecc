#!/usr/bin/env bash
# The environment that `make` works in: the virtual environment and the built workspace.
#
#   . tools/env.sh            in bash or zsh: for the rest of this shell
#   tools/env.sh COMMAND ...  runs one command in it
#
# A ROS installation that the shell has sourced is left out: this environment brings its own ROS.

if [ -n "${BASH_SOURCE:-}" ]; then _vla_file="${BASH_SOURCE[0]}"; else _vla_file="$0"; fi
_vla_root="$(cd -- "$(dirname -- "$_vla_file")/.." && pwd)"

if [ ! -f "$_vla_root/.venv/bin/activate" ] || [ ! -f "$_vla_root/install/setup.sh" ]; then
    echo "vla_ros is not set up in $_vla_root: run \`make setup\` there first." >&2
    # shellcheck disable=SC2317
    return 1 2>/dev/null || exit 1
fi

unset AMENT_PREFIX_PATH CMAKE_PREFIX_PATH COLCON_PREFIX_PATH LD_LIBRARY_PATH PKG_CONFIG_PATH \
    PYTHONHOME PYTHONPATH ROS_DISTRO ROS_PYTHON_VERSION ROS_VERSION _ROS_WHEELS_BOOTSTRAP_COMPLETE
. "$_vla_root/.venv/bin/activate"
# `local_setup` of the install folder alone: nothing chained from the time of the build.
if [ -n "${BASH_SOURCE:-}" ]; then
    . "$_vla_root/install/local_setup.bash"
else
    . "$_vla_root/install/local_setup.zsh"
fi
export AMENT_PREFIX_PATH="${AMENT_PREFIX_PATH:+$AMENT_PREFIX_PATH:}$_vla_root/.venv"
export CMAKE_PREFIX_PATH="${CMAKE_PREFIX_PATH:+$CMAKE_PREFIX_PATH:}$_vla_root/.venv"
# Nothing here leaves this computer unless the user says so: a demo must never move a robot.
export ROS_AUTOMATIC_DISCOVERY_RANGE="${ROS_AUTOMATIC_DISCOVERY_RANGE:-LOCALHOST}"

if [ -n "${BASH_SOURCE:-}" ] && [ "${BASH_SOURCE[0]}" = "$0" ] && [ "$#" -gt 0 ]; then
    exec "$@"
fi
unset _vla_file _vla_root
