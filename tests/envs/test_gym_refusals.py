"""An environment that cannot be made says why in one sentence, with the way out."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from rasched.envs import ENVS

TEST_ENVS = "tests.envs.gym_test_envs"


def make(**node: Any) -> Any:
    return ENVS.build({"name": "gym", **node}).make([0])


@pytest.mark.parametrize(
    ("node", "message"),
    [
        ({"id": "CartPol-v1"}, r"env.id 'CartPol-v1' is unknown to Gymnasium \(did you mean 'CartPole-v1'"),
        ({"id": "LunarLander-v2"}, "LunarLander-v3"),
        ({"id": "CartPole"}, "CartPole-v1"),
        ({"id": "Zaphod-v42"}, "env.module=..."),
        ({"id": "ALE/Pong-v5"}, "pip install ale-py.*env.module=ale_py"),
        ({"id": "rasched/GausianBandit-v0"}, "rasched/GaussianBandit-v0"),
        ({"id": "CartPole-v1", "module": "no_such_module"}, "env.module=no_such_module cannot be imported"),
        ({"id": "rasched-test/Pair-v0", "module": TEST_ENVS}, "observation space Tuple.*only Box and Discrete"),
        ({"id": "rasched-test/Missing-v0", "module": TEST_ENVS}, "pip install a_package_that_nobody_has"),
        ({"id": "CartPole-v1", "kwargs": {"gravty": 1}}, "env.kwargs.*gravty"),
        ({"id": "CartPole-v1", "num_envs": 8, "kwargs": {"gravty": 1}}, "env.kwargs.*gravty"),
        ({"id": "CartPole-v1", "kwargs": 3}, "env.kwargs must be a mapping"),
        ({"id": "CartPole-v1", "backend": "envpol"}, "did you mean 'envpool'"),
        ({"id": "CartPole-v1", "num_envs": 0}, "env.num_envs"),
        ({"id": "CartPole-v1", "time_limit": 0}, "env.time_limit"),
        ({"id": "CartPole-v1", "frame_stack": 0}, "env.frame_stack"),
        ({"id": "CartPole-v1", "gamma": 1.5}, "env.gamma"),
        ({}, "env.id has no default"),
    ],
)
def test_bad_input_is_one_sentence(node: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        make(**node)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("env_id", "package", "install"),
    [("LunarLander-v3", "Box2D", r"rasched\[box2d\]"), ("Ant-v5", "mujoco", r"gymnasium\[mujoco\]")],
)
def test_a_missing_extra_names_its_install(env_id: str, package: str, install: str, monkeypatch: Any) -> None:
    family = "box2d" if package == "Box2D" else "mujoco"
    for name in [n for n in sys.modules if n.startswith((package, f"gymnasium.envs.{family}"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ValueError, match=f"environment {env_id} needs a package.*pip install '{install}'"):
        make(id=env_id)


def test_a_missing_renderer_is_an_error_only_if_it_renders(monkeypatch: Any) -> None:
    monkeypatch.setitem(sys.modules, "pygame", None)
    env = make(id="CartPole-v1").make_render_env(0)
    with pytest.raises(ValueError, match=r"needs a package that renders CartPole-v1: pip install 'rasched\[video\]'"):
        env.render()


@pytest.mark.parametrize(
    ("node", "message"),
    [
        ({"id": "rasched-test/Walk-v0"}, "it has no render_mode rgb_array .it has none"),
        ({"id": "rasched-test/Mute-v0"}, "what it renders is not an RGB image"),
        ({"id": "rasched-test/Painted-v0", "kwargs": {"draws": -1}}, "cannot be rendered here: the paint has dried"),
    ],
)
def test_an_environment_that_cannot_render_says_so(node: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"logger.video must be false with rasched-test/.*{message}") as caught:
        make(module=TEST_ENVS, **node).make_render_env(0).render()
    assert "\n" not in str(caught.value)


def test_envpool_missing_names_its_install(monkeypatch: Any) -> None:
    monkeypatch.setitem(sys.modules, "envpool", None)
    with pytest.raises(ValueError, match=r"pip install 'rasched\[envpool\]'"):
        make(id="CartPole-v1", backend="envpool")


def test_a_state_that_cannot_be_read_is_refused() -> None:
    env = make(id="rasched-test/Sealed-v0", module=TEST_ENVS)
    with pytest.raises(ValueError, match="Sealed.hidden.* is a object, which cannot be saved"):
        env.state_dict()
