"""Entry point of the `vla` command; each verb imports what it needs when it is called."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from vla_ros.errors import VlaError
from vla_ros.ros.messages import HOW_TO_BUILD

app = typer.Typer(
    name="vla",
    help="Drive any ros2_control robot with a flow-matching Vision-Language-Action policy.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode="rich",
)
sim_app = typer.Typer(help="The simulated robot: collect demonstrations.", no_args_is_help=True)
app.add_typer(sim_app, name="sim", rich_help_panel="Data and training")

ON_ROBOT = "On the robot"
DATA = "Data and training"


@app.command(
    rich_help_panel=ON_ROBOT,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)
def launch(
    context: typer.Context,
    file: Annotated[
        str, typer.Argument(help="Launch file: a path, or a name in share/vla_ros/launch.")
    ],
) -> None:
    """Start a ROS 2 YAML launch file; arguments follow as [b]name:=value[/b]."""
    from vla_ros.cli.launch import launch_file

    raise typer.Exit(launch_file(file, list(context.args)))


@app.command(rich_help_panel=ON_ROBOT)
def do(
    instruction: Annotated[
        str, typer.Argument(help='What to do, e.g. "put the red cube in the blue bin".')
    ],
    time_limit_s: Annotated[
        float,
        typer.Option(
            help="Give up after this time, in seconds of ROS time; 0: the planner's default."
        ),
    ] = 0.0,
    wait_s: Annotated[
        float, typer.Option(help="How long to wait for the planner to come up, in seconds.")
    ] = 10.0,
) -> None:
    """Give the running robot a goal in words and follow it to its end. Ctrl-C cancels the goal."""
    from vla_ros.cli.do import do as run

    raise typer.Exit(run(instruction, time_limit_s=time_limit_s, wait_s=wait_s))


@app.command(rich_help_panel=ON_ROBOT)
def doctor(
    robot: Annotated[
        str, typer.Option(help="Robot file: a path, or a name in share/vla_ros/config/robots.")
    ] = "sim_arm",
    seconds: Annotated[float, typer.Option(help="How long to listen.", min=0.5)] = 3.0,
    policy: Annotated[
        str, typer.Option(help="Checkpoint whose training data the state is compared with.")
    ] = "",
) -> None:
    """Is everything up, at what rate, and how old is what arrives?"""
    from vla_ros.cli.doctor import doctor as run

    raise typer.Exit(run(robot, seconds, policy))


@app.command("calibrate-latency", rich_help_panel=ON_ROBOT)
def calibrate_latency(
    robot: Annotated[
        str, typer.Option(help="Robot file: a path, or a name in share/vla_ros/config/robots.")
    ] = "",
    bag: Annotated[
        Path | None, typer.Option(help="A recorded bag; without one, the live topics.")
    ] = None,
    dataset: Annotated[
        Path | None,
        typer.Option(help="A LeRobot dataset (v2, v3) instead: how old are its pictures?"),
    ] = None,
    seconds: Annotated[
        float, typer.Option(help="How long to listen, or how much of a dataset to use.", min=20.0)
    ] = 60.0,
    write: Annotated[
        bool, typer.Option("--write", help="Write latency_s into the robot file.")
    ] = False,
) -> None:
    """Measure how late each camera's stamps are, from the arm's own motion."""
    if (dataset is None) != bool(robot) or (dataset and (bag or write)):
        raise typer.BadParameter(
            "expected --robot FILE (with --bag, or live; with --write), or --dataset FOLDER alone"
        )
    if dataset is not None:
        from vla_ros.cli.calibrate_dataset import calibrate_dataset

        raise typer.Exit(calibrate_dataset(dataset, seconds))
    from vla_ros.cli.calibrate import calibrate as run

    raise typer.Exit(run(robot, bag, seconds, write))


@app.command(rich_help_panel=ON_ROBOT)
def demo(
    out: Annotated[
        Path, typer.Option(help="Where the run's video, plot, bag and summary go.")
    ] = Path("out/demo"),
    policy: Annotated[str, typer.Option(help="'expert', or a checkpoint folder.")] = "",
    seed: Annotated[int, typer.Option(help="Seed of the simulated scene.")] = 1,
) -> None:
    """Start the simulated robot, give it three goals, leave a video, a plot and a bag."""
    from vla_ros.cli.demo import demo as run

    raise typer.Exit(run(out, policy, seed))


@app.command(
    rich_help_panel=ON_ROBOT,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    add_help_option=False,
)
def serve(context: typer.Context) -> None:
    """Serve a policy to robots on the network; [b]vla serve --help[/b] lists the options."""
    from vla_ros.policy.serve.__main__ import main as run

    raise typer.Exit(run(context.args))


@sim_app.command()
def collect(
    out: Annotated[
        Path, typer.Option(help="Folder of the demonstration set; created, or added to.")
    ],
    episodes: Annotated[int, typer.Option(help="Number of episodes to keep.", min=1)] = 2000,
    seed: Annotated[int, typer.Option(help="First seed; episode i uses seed + i.", min=0)] = 0,
    jobs: Annotated[int, typer.Option(help="Processes.", min=1)] = 2,
    policy: Annotated[
        Path | None,
        typer.Option(
            help="Checkpoint to drive instead of the expert (DAgger): the expert only labels."
        ),
    ] = None,
) -> None:
    """Collect demonstrations of the expert through the real sync, chunk and motion code."""
    from vla_ros.cli.collect import collect as run

    raise typer.Exit(run(out, episodes, seed, jobs, policy))


@app.command(rich_help_panel=DATA)
def train(
    data: Annotated[
        list[Path], typer.Option(help="Demonstration set; give it several times to mix sets.")
    ],
    out: Annotated[Path, typer.Option(help="Where the checkpoint and its metrics go.")],
    minutes: Annotated[
        float | None, typer.Option(help="Wall-clock budget; 60 when no budget is given.", min=0.1)
    ] = None,
    samples: Annotated[
        int | None, typer.Option(help="Budget in samples, the same on any machine.", min=1)
    ] = None,
    seed: Annotated[int, typer.Option(help="Training seed.")] = 0,
    init: Annotated[Path | None, typer.Option(help="Start from this checkpoint's weights.")] = None,
) -> None:
    """Train nano, the small flow-matching VLA, from demonstrations."""
    from vla_ros.cli.train import train as run

    raise typer.Exit(run(data, out, minutes, samples, seed, init))


@app.command("eval", rich_help_panel=DATA)
def evaluate(
    episodes: Annotated[int, typer.Option(help="Number of scenes.", min=1)] = 20,
    seed: Annotated[int, typer.Option(help="First scene seed.", min=0)] = 900_000,
    policy: Annotated[
        str, typer.Option(help="'expert', a checkpoint folder, or a policy server's file.")
    ] = "expert",
    task: Annotated[
        str,
        typer.Option(
            help="'single': one instruction a scene; 'listen': two different ones, each from the "
            "same start; 'long': clear the table."
        ),
    ] = "single",
    realtime: Annotated[
        bool, typer.Option("--realtime", help="Real time instead of lockstep.")
    ] = False,
    direct: Annotated[
        bool, typer.Option("--direct", help="The same pure code in one process, without ROS.")
    ] = False,
    wordings: Annotated[
        str, typer.Option(help="'canonical', 'train' or 'held-out'.")
    ] = "canonical",
    json: Annotated[
        Path | None, typer.Option(help="Keep the result here as JSON, from the first scene on.")
    ] = None,
    against: Annotated[
        Path | None, typer.Option(help="Compare with this earlier result, scene by scene.")
    ] = None,
) -> None:
    """Success rate of a policy over fresh scenes, with its 95 % interval."""
    from vla_ros.cli.eval import Evaluation
    from vla_ros.cli.eval import evaluate as run

    evaluation = Evaluation(
        episodes=episodes,
        seed=seed,
        policy=policy,
        task=task,
        realtime=realtime,
        direct=direct,
        wordings=wordings,
    )
    raise typer.Exit(run(evaluation, json, against))


def main() -> None:
    """Run the command; an error of ours is one readable paragraph, not a traceback."""
    try:
        app()
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] != "vla_ros_msgs":
            raise
        Console(stderr=True).print(f"[bold red]vla:[/] {HOW_TO_BUILD}", highlight=False)
        sys.exit(1)
    except VlaError as error:
        Console(stderr=True).print(f"[bold red]vla:[/] {error}", highlight=False)
        sys.exit(1)


if __name__ == "__main__":
    main()
