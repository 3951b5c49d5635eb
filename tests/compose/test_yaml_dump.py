"""The fast texts of .hydra/ are those that YAML's own emitter writes."""

from typing import Any

import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from rasched.compose.yaml_dump import CachedYaml, dump, dump_strings

TEXTS = st.one_of(
    st.text(max_size=30),
    st.from_regex(r"[\w=.,+/-]{0,12}", fullmatch=True),
    st.sampled_from(
        ["yes", "No", "inf", "NaN", "Infinity", "null", "1e3", "e5", "_1", "=", "/a/b", "a=-1", "on=off", ""]
    ),
)
PLAIN = st.one_of(
    TEXTS, st.integers(), st.booleans(), st.none(), st.floats(allow_nan=False), st.lists(TEXTS, max_size=3)
)


@given(st.lists(TEXTS, max_size=6))
@example(["rule=kelly", "optimizer.lr=0.1", "+env.note='a b, c'"])
def test_a_list_of_overrides_is_what_yaml_writes(values: list[str]) -> None:
    assert dump_strings(values) == dump(values)


@given(
    st.dictionaries(TEXTS, st.one_of(PLAIN, st.dictionaries(TEXTS, PLAIN, max_size=3)), min_size=1, max_size=4),
    st.data(),
)
def test_a_mapping_near_its_base_is_what_yaml_writes(base: dict[str, Any], data: st.DataObject) -> None:
    sections = CachedYaml(base)
    key = data.draw(st.sampled_from(sorted(base)))
    value = base[key]
    changed = (
        {**value, **data.draw(st.dictionaries(TEXTS, PLAIN, max_size=2))}
        if isinstance(value, dict)
        else data.draw(PLAIN)
    )
    mapping = {**base, key: changed}
    assert yaml.safe_load(sections.dump(mapping)) == yaml.safe_load(dump(mapping))
    assert yaml.safe_load("x:\n" + sections.dump(mapping, "  ")) == {"x": yaml.safe_load(dump(mapping))}
