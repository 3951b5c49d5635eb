"""What hypothesis draws: reward histories of every scale, and settings that are allowed."""

from typing import Any

from hypothesis import strategies as st

SCALES = (1e-6, 1e-3, 1.0, 37.0, 1e6)
# A lattice: ties happen, and no two rewards are so near that a rounding decides what a rule does.
LATTICE = st.integers(-1000, 1000)


@st.composite
def histories(draw: st.DrawFn, max_size: int = 30) -> tuple[float, list[float]]:
    """A scale, and rewards of that scale."""
    scale = draw(st.sampled_from(SCALES))
    return scale, [n / 1000 * scale for n in draw(st.lists(LATTICE, min_size=1, max_size=max_size))]


@st.composite
def rule_settings(draw: st.DrawFn, unit: float) -> dict[str, Any]:
    """Settings of every rule, or none of them; `unit` is the scale of the signal, so that every rule reacts."""
    if draw(st.booleans()):
        return {}
    return {
        "scaling_center": draw(st.floats(-1, 1)) * unit,
        "scaling_span": draw(st.floats(0.2, 10)) * unit,
        "trend_up": draw(st.floats(1.01, 2)),
        "trend_down": draw(st.floats(0.3, 0.99)),
        "variance_alpha": draw(st.just(0.0) | st.floats(0.1, 10)) / unit**2,
        "variance_window": draw(st.integers(1, 25)),
        "kelly_gain": draw(st.floats(0.01, 0.95)),
        "kelly_temp": draw(st.floats(0.2, 10)) * unit,
    }


@st.composite
def bounded_groups(draw: st.DrawFn) -> tuple[list[float], dict[str, Any], list[tuple[float, float]]]:
    """Base rates of 1 to 4 groups, min_lr and max_lr as a user gives them, and what they mean group by group."""
    bases = draw(st.lists(st.floats(1e-5, 1.0), min_size=1, max_size=4))
    kind = draw(st.sampled_from(("relative", "only one", "one for all", "one a group")))
    below, above = draw(st.floats(1e-3, 0.9)), draw(st.floats(1.1, 1e3))
    lows, highs = [base / 100 for base in bases], [base * 100 for base in bases]
    given: dict[str, Any] = {}
    if kind in ("only one", "one for all"):
        lows = [min(bases) * below] * len(bases)
        given["min_lr"] = lows[0]
    if kind == "one for all":
        highs = [max(bases) * above] * len(bases)
        given["max_lr"] = highs[0]
    if kind == "one a group":
        lows, highs = [base * below for base in bases], [base * above for base in bases]
        given = {"min_lr": list(lows), "max_lr": list(highs)}
    return bases, given, list(zip(lows, highs, strict=True))
