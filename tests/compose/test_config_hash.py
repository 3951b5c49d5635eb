"""A configuration's hash covers all that decides the numbers, and a difference is named."""

from copy import deepcopy
from typing import Any

from rasched.compose.composer import Composer
from rasched.compose.config_hash import config_hash, describe_difference, flatten
from rasched.compose.jobs import JobComposer


def _config(*lines: str) -> dict[str, Any]:
    return JobComposer(Composer.open(), []).compose(list(lines), 0).config


def test_what_is_logged_is_no_part_of_the_hash() -> None:
    plain = flatten(_config())
    assert config_hash(plain) == config_hash(flatten(_config("logger.log_every=7", "logger.plot=false")))
    assert config_hash(plain) == config_hash(dict(reversed(plain.items())))


def test_every_other_setting_is() -> None:
    base = _config("optimizer=adam")
    whole = config_hash(flatten(base))
    for group, node in base.items():
        if group in ("logger", "control"):
            continue
        for key in node if isinstance(node, dict) else [None]:
            changed = deepcopy(base)
            if key is None:
                changed[group] = "other"
            else:
                changed[group][key] = "other"
            assert config_hash(flatten(changed)) != whole, (group, key)


def test_a_difference_is_named_by_what_one_types() -> None:
    was, now = flatten(_config()), flatten(_config("rule.gain=0.3", "signal.normalize=null"))
    assert describe_difference(was, was) is None
    said = 'rule.gain was 0.2 and is 0.3 now; signal.normalize was "standardize" and is null now'
    assert describe_difference(was, now) == said
    other = str(describe_difference(was, flatten(_config("rule=trend"))))
    assert other.startswith('rule.name was "kelly" and is "trend" now; rule.down was not there and is 0.95 now')
    assert str(describe_difference(was, flatten(_config("optimizer=adam", "env=drifting")))).endswith("more)")
