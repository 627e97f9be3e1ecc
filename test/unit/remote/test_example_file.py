"""The example in config/policies is one that loads and fits the robot it names."""

from __future__ import annotations

from vla_ros.policy.remote import load_served
from vla_ros.robot.check import check_policy
from vla_ros.robot.files import shared_folder
from vla_ros.robot.load import load_robot


def test_the_example_of_a_served_policy_fits_the_simulated_arm() -> None:
    policy = load_served(shared_folder() / "config" / "policies" / "openpi_example.yaml")
    check_policy(load_robot("sim_arm"), policy.spec)
