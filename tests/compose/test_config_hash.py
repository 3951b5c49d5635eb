"""A run's identity is all that decides its numbers, and a difference is named."""

from copy import deepcopy
from typing import Any

from rasched.compose.composer import Composer
from rasched.compose.config_hash import difference, flat, identity
from rasched.compose.jobs import JobComposer


def _config(*lines: str) -> dict[str, Any]:
    return JobComposer(Composer.open(), []).compose(list(lines), 0).config


def test_what_is_logged_is_no_part_of_a_run() -> None:
    plain = flat(_config())
    assert identity(plain) == identity(flat(_config("logger.log_every=7", "logger.plot=false")))
    assert identity(plain) == identity(dict(reversed(plain.items())))


def test_every_other_setting_is() -> None:
    base = _config("optimizer=adam")
    whole = identity(flat(base))
    for group, node in base.items():
        if group == "logger":
            continue
        for key in node if isinstance(node, dict) else [None]:
            changed = deepcopy(base)
            if key is None:
                changed[group] = "other"
            else:
                changed[group][key] = "other"
            assert identity(flat(changed)) != whole, (group, key)


def test_a_difference_is_named_by_what_one_types() -> None:
    was, now = flat(_config()), flat(_config("rule.gain=0.3", "signal.normalize=null"))
    assert difference(was, was) is None
    said = 'rule.gain was 0.2 and is 0.3 now; signal.normalize was "standardize" and is null now'
    assert difference(was, now) == said
    other = str(difference(was, flat(_config("rule=trend"))))
    assert other.startswith('rule.name was "kelly" and is "trend" now; rule.down was not there and is 0.95 now')
    assert str(difference(was, flat(_config("optimizer=adam", "env=drifting")))).endswith("more)")
