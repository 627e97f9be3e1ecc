"""A server that follows GR00T's published ZeroMQ protocol, written apart from the code under test.

python groot_server.py LAYOUT MODE    prints its port
"""

from __future__ import annotations

import io
import json
import sys
import time

import msgpack
import numpy as np
import zmq

MODALITIES = {
    "video": (["front"], [0]),
    "state": (["arm", "hand"], [0]),
    "action": (["arm", "hand"], [0, 1, 2, 3]),
    "language": (["annotation.human.task_description"], [0]),
}


def decode(value):
    if "__ndarray_class__" in value:
        return np.load(io.BytesIO(value["as_npy"]), allow_pickle=False)
    return value


def encode(value):
    file = io.BytesIO()
    np.save(file, value, allow_pickle=False)
    return {"__ndarray_class__": True, "as_npy": file.getvalue()}


def modality_config(layout: str) -> dict:
    config = {}
    for modality, (keys, indices) in MODALITIES.items():
        if layout == "flat" and modality != "language":
            keys = [f"{modality}.{key}" for key in keys]
        about = {"delta_indices": indices, "modality_keys": keys}
        about = json.dumps(about) if layout == "flat" else about
        config[modality] = {"__ModalityConfig_class__": True, "as_json": about}
    return config


def actions(layout: str, data: dict):
    """Row t of the arm is the state's arm plus t; the hand's is the length of the prompt."""
    rows = np.arange(4, dtype=np.float32)[:, None]
    if layout == "nested":
        data = data["observation"]
        assert data["video"]["front"].shape == (1, 1, 4, 6, 3)
        assert data["video"]["front"].dtype == np.uint8
        assert data["state"]["arm"].dtype == np.float32
        prompt = data["language"]["annotation.human.task_description"][0][0]
        arm = data["state"]["arm"][0] + rows
        return [{"arm": arm[None], "hand": np.full((1, 4, 1), len(prompt), np.float32)}, {}]
    assert data["video.front"].shape == (1, 4, 6, 3)
    (prompt,) = data["annotation.human.task_description"]
    return {"action.arm": data["state.arm"] + rows, "action.hand": np.full(4, len(prompt), "f4")}


def main() -> None:
    layout, mode = sys.argv[1], sys.argv[2]
    socket = zmq.Context().socket(zmq.REP)
    port = socket.bind_to_random_port("tcp://127.0.0.1")
    print(port, flush=True)
    while True:
        request = msgpack.unpackb(socket.recv(), object_hook=decode)
        endpoint = request.get("endpoint", "get_action")
        if mode == "token" and request.get("api_token") != "secret":
            answer = {"error": "Unauthorized: Invalid API token"}
        elif endpoint == "ping":
            answer = {"status": "ok", "message": "Server is running"}
        elif endpoint == "get_modality_config":
            answer = {"video": 3} if mode == "strange" else modality_config(layout)
        else:
            try:
                if mode == "slow":
                    time.sleep(1.0)
                answer = actions(layout, request["data"])
            except Exception as error:
                answer = {"error": f"{type(error).__name__}: {error}"}
        if mode == "garbage" and endpoint == "get_action":
            socket.send(b"\xc1garbage")
            continue
        socket.send(msgpack.packb(answer, default=encode))


if __name__ == "__main__":
    main()
