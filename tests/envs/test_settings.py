"""Settings cannot be wrong once they exist, and a wrong one says what to type instead."""

import subprocess
import sys

import pytest

from rasched.envs import ENVS


@pytest.mark.parametrize(
    ("node", "message"),
    [
        ({"name": "gaussian", "arms": 1}, "env.arms must be a whole number in .2, 1000000., got 1"),
        ({"name": "gaussian", "num_envs": 0}, "env.num_envs must be a whole number in .1, 1000000., got 0"),
        ({"name": "gaussian", "reward_std": -1.0}, "env.reward_std must be at least 0, got -1.0"),
        ({"name": "gaussian", "mean_std": float("nan")}, "env.mean_std must be at least 0, got nan"),
        ({"name": "gaussian", "mean": float("inf")}, "env.mean must be finite, got inf"),
        ({"name": "gaussian", "arms": 2.5}, "env.arms must be a whole number, got 2.5"),
        ({"name": "bernoulli", "noise": 1.0}, "has no setting 'noise'; its settings: num_envs, arms, switch_every"),
        ({"name": "drifting", "drift": -0.1}, "env.drift must be at least 0, got -0.1"),
        ({"name": "switching", "switch_every": 0}, "env.switch_every must be a whole number of at least 1, got 0"),
        (
            {"name": "bernoulli", "switch_every": 0},
            "env.switch_every must be a whole number of at least 1, or None, got 0",
        ),
        ({"name": "contextual", "features": 0}, "env.features must be a whole number of at least 1, got 0"),
        ({"name": "gausian"}, r"env 'gausian' is unknown; .*did you mean 'gaussian'\?"),
    ],
)
def test_a_wrong_setting_is_named_with_what_is_allowed(node, message):
    with pytest.raises(ValueError, match=message):
        ENVS.build(node)


@pytest.mark.parametrize("name", ["bernoulli", "contextual", "drifting", "gaussian", "switching"])
def test_no_run_at_all_is_refused(name):
    with pytest.raises(ValueError, match="at least one run"):
        ENVS.build({"name": name}).make([])


def test_the_environments_do_not_import_gymnasium():
    code = "import sys, rasched.envs; sys.exit('gymnasium' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
