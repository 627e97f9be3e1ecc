from __future__ import annotations

import pytest
import torch

from vla_ros.policy.device import DeviceError, find_device, move


def test_auto_is_the_cpu_where_there_is_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert find_device("auto") == torch.device("cpu")


def test_auto_is_the_first_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert find_device("auto") == torch.device("cuda:0")
    assert find_device("cuda:1") == torch.device("cuda:1")


def test_a_gpu_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(DeviceError, match="sees 1 GPUs"):
        find_device("cuda:1")


def test_a_word_that_names_no_device_is_refused() -> None:
    with pytest.raises(DeviceError, match="expected auto, cpu, cuda"):
        find_device("gpu")


def test_a_policy_that_cannot_move_is_refused_elsewhere_than_on_the_cpu() -> None:
    move(object(), torch.device("cpu"))
    with pytest.raises(DeviceError, match="CPU only"):
        move(object(), torch.device("cuda"))
