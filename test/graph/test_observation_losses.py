"""Every lie of every stream under every ``on_loss``: the declared consequence, counted and said.

In lockstep, so that each message comes at its instant however busy the machine is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from drivers import SIZE, small_robot
from metronome import Metronome
from scripted import TICK_NS, TOPICS, Fault, Script, Turn
from stage import Stage, stage
from std_srvs.srv import Trigger
from vla_ros_msgs.msg import Observation, StreamStatus

from vla_ros.ros.conversions.times import ns_from

pytestmark = [pytest.mark.graph, pytest.mark.timeout(240)]

START_NS = 100_000_000_000
FAULT_NS, REST_NS = 1_000_000_000, 400_000_000
HOLD_NS = 400_000_000
SLACK_NS = 200_000_000  # what came before the fault may still be matched, and waited for
PATIENCE_S = 20.0


def gone(turn: Turn) -> None:
    turn.message = None


def stale(turn: Turn) -> None:
    turn.stamp(turn.t_ns - 600_000_000)


def ancient(turn: Turn) -> None:
    turn.stamp(turn.t_ns - 20_000_000_000)


def future(turn: Turn) -> None:
    turn.stamp(turn.t_ns + 10_000_000_000)


def zero(turn: Turn) -> None:
    turn.stamp(0)


def repeated(turn: Turn) -> None:
    turn.stamp(turn.since_ns)  # that of the last good one


def out_of_order(turn: Turn) -> None:
    turn.late_ns = 75_000_000 if turn.t_ns % 100_000_000 == 0 else 0


def encoded(turn: Turn) -> None:
    turn.message.encoding = "bgr8"


def resized(turn: Turn) -> None:
    turn.repaint(np.zeros((18, 24, 3), dtype=np.uint8))


def torn(turn: Turn) -> None:
    turn.message.data = turn.message.data[:-7]


def frozen(turn: Turn) -> None:
    turn.repaint(np.full(SIZE, 9, dtype=np.uint8))


def nameless(turn: Turn) -> None:
    turn.message.name = ["elbow", *turn.message.name[1:]]


def twice(turn: Turn) -> None:
    turn.message.name = [turn.message.name[1], *turn.message.name[1:]]


def no_number(turn: Turn) -> None:
    turn.message.position[2] = float("nan")


def in_degrees(turn: Turn) -> None:
    turn.message.position[0] = 90.0


ANY: dict[str, tuple[Fault, str, str]] = {
    "missing": (gone, "", ""),
    "stale": (stale, "", ""),
    "too old to keep": (ancient, "older than the history", "old"),
    "from the future": (future, "stamp lies in the future", "future"),
    "stamped zero": (zero, "the stamp is zero", "zero"),
    "stamped the same": (repeated, "a sample with this stamp is there already", "duplicate"),
}
CAMERA = {
    "wrongly encoded": (encoded, "another encoding than the robot file says", "form"),
    "resized": (resized, "another size", "form"),
    "cut short": (torn, "bytes cannot be read", "form"),
    "frozen": (frozen, "the picture does not change while the robot moves", ""),
}
STATE = {
    "without a joint": (nameless, "joints are missing: joint1", "form"),
    "naming a joint twice": (twice, "named more than once: joint2", "form"),
    "not a number": (no_number, "joint3 is no finite number", "form"),
    "in degrees": (in_degrees, "joint1 is far outside its limits", "form"),
}
FAULTS = {(stream, what): fault for stream in ("front", "wrist", "state") for what, fault in
          {**ANY, **(STATE if stream == "state" else CAMERA)}.items()}  # fmt: skip


@dataclass
class Seen:
    """What came of one fault.

    Attributes:
        since_ns: When it began.
        observations: Made while it lasted.
        words: Everything the node said meanwhile.
        stops: Calls of control_bridge's stop.
        drops: Samples refused, by the stream's own report in the observations around it.
        recovered: Observations after it.
    """

    since_ns: int
    observations: list[Observation] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    stops: int = 0
    drops: int = 0
    recovered: int = 0

    def said(self, *words: str) -> bool:
        """Whether one sentence had all of these words."""
        return any(all(word in sentence for word in words) for sentence in self.words)

    def after(self, duration_ns: int) -> list[Observation]:
        """Observations of instants so long after the beginning."""
        return [
            o for o in self.observations if ns_from(o.header.stamp) > self.since_ns + duration_ns
        ]


class Scene:
    """observation_sync in lockstep, and drivers whose faults are on a script."""

    def __init__(self, stage: Stage, robot: Path) -> None:
        self.stage, self.script = stage, Script()
        self.observations: list[Observation] = []
        self.stops = 0
        stage.node.create_service(Trigger, "control_bridge/stop", self._on_stop)
        stage.start("observation_sync", robot=robot, lockstep=True)
        topics = {topic: (kind, role) for topic, kind, role in TOPICS.values()}
        self._beat = Metronome(stage, ["observation_sync"], topics)
        self._beat.hear(Observation, "observation", self.observations.append)
        self._beat.start()
        self._t_ns = START_NS
        self.play(REST_NS)

    def _on_stop(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        self.stops += 1
        response.success = True
        return response

    def play(self, duration_ns: int) -> None:
        """So much of the script."""
        for _ in range(duration_ns // TICK_NS):
            self._t_ns += TICK_NS
            self._beat.tick(self._t_ns, self.script.at(self._t_ns))

    def suffer(self, stream: str, fault: Fault, *words: str, stops: bool) -> Seen:
        """A fault and the time after it. Waits for the words and the stop, if there must be one."""
        seen = Seen(since_ns=self._t_ns)
        said, stops_before, made = len(self.stage.said), self.stops, len(self.observations)
        self.script.faults, self.script.since_ns = {stream: fault}, self._t_ns
        self.play(FAULT_NS)
        seen.observations = self.observations[made:]

        def complete() -> bool:
            seen.words = [status.message for status in self.stage.said[said:]]
            seen.stops = self.stops - stops_before
            return seen.said(*words) and seen.stops >= stops

        self.stage.waits(complete, PATIENCE_S)
        self.script.faults = {}
        again = len(self.observations)
        self.play(REST_NS)
        seen.recovered = len(self.observations) - again
        seen.drops = drops(self.observations[-1], stream) - drops(
            self.observations[made - 1], stream
        )
        return seen


def drops(observation: Observation, stream: str) -> int:
    return int(next(s.drops for s in observation.streams if s.name == stream))


def status(observation: Observation, stream: str) -> int:
    return int(next(s.status for s in observation.streams if s.name == stream))


def robot_file(folder: Path, on_loss: str) -> Path:
    """Small pictures; every stream declares the same."""
    path = small_robot(folder, **{"  - key: wrist\n": "  - key: wrist\n    wait_s: 0.1\n"})
    declared = rf"\1on_loss: {on_loss}"
    if on_loss == "hold":
        declared += rf"\n\1max_age_s: {HOLD_NS * 1e-9}"
    text = re.sub(r"^( +)on_loss: skip$", declared, path.read_text("utf-8"), flags=re.MULTILINE)
    path.write_text(text, "utf-8")
    return path


@dataclass
class Story:
    """Everything that happened to one node.

    Attributes:
        on_loss: What its streams declare.
        seen: (stream, fault) -> what came of it.
        reordered: Stream -> likewise, of messages in another order.
        counts: Values of its last diagnostics.
    """

    on_loss: str
    seen: dict[tuple[str, str], Seen] = field(default_factory=dict)
    reordered: dict[str, Seen] = field(default_factory=dict)
    counts: dict[str, str] = field(default_factory=dict)


@pytest.fixture(scope="module", params=["skip", "hold", "stop"])
def story(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Story:
    told = Story(on_loss=request.param)
    with stage() as made:
        scene = Scene(made, robot_file(tmp_path_factory.mktemp("robot"), told.on_loss))
        for (stream, what), (fault, words, _) in FAULTS.items():
            told.seen[stream, what] = scene.suffer(
                stream, fault, stream, words, stops=told.on_loss != "skip"
            )
        for stream in TOPICS:
            told.reordered[stream] = scene.suffer(stream, out_of_order, stops=False)

        def counted() -> bool:
            told.counts = {v.key: v.value for v in made.diagnostics["observation_sync"].values}
            return all(int(told.counts.get(f"{stream} late", 0)) >= 5 for stream in TOPICS)

        made.waits(counted, PATIENCE_S)
        assert made.stop("observation_sync") == 0
        assert "Traceback" not in made.printed("observation_sync")
    return told


@pytest.mark.parametrize(("stream", "what"), FAULTS)
def test_a_fault_has_the_declared_consequence_and_no_other(
    story: Story, stream: str, what: str
) -> None:
    seen = story.seen[stream, what]
    held = story.on_loss == "hold" and (stream != "front" or what == "frozen")
    until_ns = HOLD_NS + SLACK_NS if held else SLACK_NS
    assert not seen.after(until_ns), "observed without it"
    spoilt = [status(o, stream) for o in seen.after(SLACK_NS)]
    if held:
        expected = StreamStatus.FROZEN if what == "frozen" else StreamStatus.HELD
        assert len(spoilt) >= 2
        assert set(spoilt) == {expected}
    assert (seen.stops > 0) == (story.on_loss != "skip")
    assert seen.said("(skip)" if story.on_loss == "skip" else "(stop)")
    assert seen.recovered >= 3


@pytest.mark.parametrize(("stream", "what"), FAULTS)
def test_a_fault_is_said_in_words_that_name_the_stream(
    story: Story, stream: str, what: str
) -> None:
    assert story.seen[stream, what].said(stream, FAULTS[stream, what][1])


@pytest.mark.parametrize(("stream", "what"), [key for key, fault in FAULTS.items() if fault[2]])
def test_what_is_refused_is_counted_in_the_observation_and_by_reason_in_the_diagnostics(
    story: Story, stream: str, what: str
) -> None:
    assert story.seen[stream, what].drops >= 5
    assert int(story.counts[f"{stream} {FAULTS[stream, what][2]}"]) >= 5


@pytest.mark.parametrize("stream", TOPICS)
def test_what_comes_out_of_order_is_sorted_in_and_counted_but_costs_nothing(
    story: Story, stream: str
) -> None:
    seen = story.reordered[stream]
    assert len(seen.observations) >= 8
    assert {status(o, stream) for o in seen.observations} <= {
        StreamStatus.OK, StreamStatus.INTERPOLATED
    }  # fmt: skip
    assert (seen.stops, seen.drops) == (0, 0)
    assert int(story.counts[f"{stream} late"]) >= 5
