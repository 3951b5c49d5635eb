"""A tap gives each reward once, in the mean of those since the last step."""

from __future__ import annotations

from rasched.integrations import RewardCollector


def test_a_tap_gives_the_mean_since_the_last_step_and_then_none() -> None:
    tap = RewardCollector()
    tap.add(1.0, None, 2.0)
    tap.add(6.0)
    assert [tap(1), tap(2)] == [3.0, None]
    tap.add(5.0)
    tap.forget()
    assert tap(3) is None


def test_a_watched_reward_function_stays_what_it_was() -> None:
    tap = RewardCollector()

    def reward(completions: list[str]) -> list[float]:
        return [float(len(text)) for text in completions]

    watched = tap.watch(reward)
    assert watched.__name__ == "reward"  # TRL's log is named after it
    assert watched(["a", "abc"]) == [1.0, 3.0]
    assert tap(1) == 2.0
