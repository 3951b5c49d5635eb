"""A collector gives each reward once, in the mean of those since the last step."""

from __future__ import annotations

from rasched.integrations import RewardCollector


def test_a_collector_gives_the_mean_since_the_last_step_and_then_none() -> None:
    collector = RewardCollector()
    collector.add(1.0, None, 2.0)
    collector.add(6.0)
    assert [collector(1), collector(2)] == [3.0, None]
    collector.add(5.0)
    collector.reset()
    assert collector(3) is None


def test_a_wrapped_reward_function_stays_what_it_was() -> None:
    collector = RewardCollector()

    def reward(completions: list[str]) -> list[float]:
        return [float(len(text)) for text in completions]

    wrapped = collector.wrap(reward)
    assert wrapped.__name__ == "reward"  # TRL's log is named after it
    assert wrapped(["a", "abc"]) == [1.0, 3.0]
    assert collector(1) == 2.0
