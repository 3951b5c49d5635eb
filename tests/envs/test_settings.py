"""Settings cannot be wrong once they exist, and a wrong one says what to type instead."""

import subprocess
import sys

import pytest

from rasched.envs import ENVS


@pytest.mark.parametrize(
    ("node", "words"),
    [
        ({"name": "gaussian", "arms": 1}, r"env.arms must be at least 2 \(a choice needs two\), got 1"),
        ({"name": "gaussian", "copies": 0}, "env.copies must be at least 1, got 0"),
        ({"name": "gaussian", "noise": -1.0}, "env.noise must be at least 0, got -1.0"),
        ({"name": "gaussian", "spread": float("nan")}, "env.spread must be at least 0, got nan"),
        ({"name": "gaussian", "mean": float("inf")}, "env.mean must be finite, got inf"),
        ({"name": "gaussian", "arms": 2.5}, "env.arms must be a whole number, got 2.5"),
        ({"name": "bernoulli", "noise": 1.0}, "has no setting 'noise'; its settings: arms, copies"),
        ({"name": "drifting", "drift": -0.1}, "env.drift must be at least 0, got -0.1"),
        ({"name": "switching", "period": 0}, "env.period must be at least 1 step, got 0"),
        ({"name": "contextual", "features": 0}, "env.features must be at least 1, got 0"),
        ({"name": "gausian"}, r"env 'gausian' is unknown; .*did you mean 'gaussian'\?"),
    ],
)
def test_a_wrong_setting_is_named_with_what_is_allowed(node, words):
    with pytest.raises(ValueError, match=words):
        ENVS.build(node)


@pytest.mark.parametrize("name", ["bernoulli", "contextual", "drifting", "gaussian", "switching"])
def test_no_run_at_all_is_refused(name):
    with pytest.raises(ValueError, match="at least one run"):
        ENVS.build({"name": name}).make([])


def test_the_environments_do_not_import_gymnasium():
    code = "import sys, rasched.envs; sys.exit('gymnasium' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
