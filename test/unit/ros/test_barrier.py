"""Lockstep's counting core, played against a network that delays and reorders at will."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vla_ros.ros.barrier import SIMULATOR, Barrier, Inbox, LockstepError, Report, Tick

PERIOD = 10


@dataclass
class Node:
    """A node that sends some messages at ticks, and passes some on at the tick it sees them."""

    inbox: Inbox
    sends: list[str]
    seen: list[tuple[int, str, object]] = field(default_factory=list)


@dataclass
class Network:
    """Channels from sender to receiver; each keeps its order, no two have an order between them."""

    channels: dict[tuple[str, str, str], list[object]] = field(default_factory=dict)

    def send(self, sender: str, topic: str, receiver: str, message: object) -> None:
        self.channels.setdefault((sender, topic, receiver), []).append(message)

    def in_flight(self, topics: set[str]) -> int:
        return sum(len(queue) for key, queue in self.channels.items() if key[1] in topics)


DATA = {"/joints": ["sync", "bridge"], "/image": ["sync"]}
OTHERS = {
    "/observation": ("sync", ["policy"]),
    "/chunk": ("policy", ["bridge"]),
    "/commanded": ("bridge", ["policy", "sync"]),
    "/jtc": ("bridge", [SIMULATOR]),
}
COUNTED = {*DATA, *OTHERS}


def play(seed: int, ticks: int, behaviour: int) -> dict[str, list[tuple[int, str, object]]]:
    """Runs a graph; `seed` moves the network, `behaviour` what the nodes do."""
    network, dice = Network(), random.Random(seed)
    names = ["sync", "policy", "bridge"]
    nodes = {
        name: Node(Inbox(name), [t for t, (s, _) in OTHERS.items() if s == name]) for name in names
    }
    sim = Inbox(SIMULATOR)
    for topic, receivers in DATA.items():
        sim.sends(topic)
        for name in receivers:
            nodes[name].inbox.receives(topic)
    for topic, (sender, receivers) in OTHERS.items():
        nodes[sender].inbox.sends(topic)
        for name in receivers:
            (sim if name == SIMULATOR else nodes[name].inbox).receives(topic)
    barrier = Barrier(names)
    will = {name: random.Random(f"{behaviour} {name}") for name in names}

    def report(name: str) -> None:
        network.send(name, "report", SIMULATOR, nodes[name].inbox.report())

    def publish(name: str, topic: str, message: object) -> None:
        nodes[name].inbox.sent(topic)
        for receiver in OTHERS[topic][1]:
            network.send(name, topic, receiver, message)

    def work(name: str) -> None:
        node = nodes[name]
        if not node.inbox.due():
            return
        t, messages = node.inbox.take()
        for topic, message in messages:
            node.seen.append((t, topic, message))
        for topic in node.sends:
            for _ in range(will[name].randint(0, 2)):
                publish(name, topic, (name, t, len(messages)))
        node.inbox.finish()
        report(name)

    for name in names:
        report(name)
    t = 0
    while True:
        sim.done_until_ns = t
        barrier.report(sim.report())
        if barrier.may_advance(t):
            assert network.in_flight(COUNTED) == 0, "time advances while a message is in flight"
            assert all(node.inbox.done_until_ns == t for node in nodes.values())
            if t == ticks * PERIOD:
                return {name: node.seen for name, node in nodes.items()}
            others = {k: v for k, v in barrier.totals().items() if k not in DATA}
            t += PERIOD
            for topic, receivers in DATA.items():
                for index in range(1 + (t // PERIOD) % 2):
                    sim.sent(topic)
                    for name in receivers:
                        network.send(SIMULATOR, topic, name, (topic, t, index))
            tick = Tick(t_ns=t, data=dict(sim.report().sent), others=others)
            for name in names:
                network.send(SIMULATOR, "tick", name, tick)
            continue
        busy = [key for key, queue in network.channels.items() if queue]
        assert busy, f"nothing in flight and no advance: {barrier.waiting_for(t)}"
        sender, topic, receiver = key = dice.choice(busy)
        message = network.channels[key].pop(0)
        if topic == "report":
            barrier.report(message)
        elif topic == "tick":
            nodes[receiver].inbox.announce(message)
            work(receiver)
        elif receiver == SIMULATOR:
            sim.arrived(topic, message)
        else:
            if nodes[receiver].inbox.arrived(topic, message):
                report(receiver)
            work(receiver)


@given(seed=st.integers(0, 10**9), behaviour=st.integers(0, 10**6))
@settings(max_examples=150, deadline=None)
def test_time_never_advances_while_a_counted_message_is_in_flight_and_never_stalls(seed, behaviour):
    play(seed, 8, behaviour)


@given(seeds=st.tuples(st.integers(0, 10**9), st.integers(0, 10**9)), behaviour=st.integers(0, 999))
@settings(max_examples=60, deadline=None)
def test_what_a_node_sees_does_not_depend_on_the_network(seeds, behaviour):
    assert play(seeds[0], 6, behaviour) == play(seeds[1], 6, behaviour)


def test_a_barrier_that_ignored_the_counts_would_be_caught(monkeypatch):
    def careless(self: Barrier, t_ns: int) -> bool:
        return self._all(t_ns) is not None

    monkeypatch.setattr(Barrier, "may_advance", careless)

    def play_often() -> None:
        for seed in range(50):
            play(seed, 6, 0)

    with pytest.raises(AssertionError, match=r"in flight|done_until"):
        play_often()


def test_the_barrier_names_the_node_and_the_messages_it_waits_for():
    barrier = Barrier(["policy", "bridge"])
    barrier.report(Report(node=SIMULATOR, done_until_ns=20, sent={}, received={"/jtc": 1}))
    barrier.report(Report(node="bridge", done_until_ns=20, sent={"/jtc": 2}, received={}))
    assert not barrier.may_advance(20)
    assert barrier.waiting_for(20) == (
        "policy never reported",
        "sim_robot received 1 of 2 on /jtc",
    )
    barrier.report(Report(node="policy", done_until_ns=10, sent={}, received={}))
    assert barrier.waiting_for(20)[0] == "policy is at 0.000 s of 0.000 s"


def test_a_second_tick_before_the_first_is_done_is_refused_in_words():
    inbox = Inbox("policy")
    inbox.receives("/observation")
    inbox.announce(Tick(t_ns=10, data={"/observation": 1}, others={}))
    with pytest.raises(LockstepError, match="second one runs in this ROS domain"):
        inbox.announce(Tick(t_ns=20, data={}, others={}))
