"""One colour and line per rule, told apart without colours."""

from itertools import combinations

from matplotlib.colors import to_rgb

from rasched.analysis.palette import rule_style
from rasched.rules import RULES


def lightness(colour: str) -> float:
    """Return L* of a colour in CIELAB, 0 to 100, which is what a grey print shows of it."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
    luminance = sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
    return 116 * luminance ** (1 / 3) - 16


def test_two_rules_differ_in_their_line_or_in_lightness() -> None:
    styles = {rule: rule_style(rule) for rule in RULES.names()}
    assert len(styles) > 10
    for (one, (colour, line)), (other, (other_colour, other_line)) in combinations(styles.items(), 2):
        assert line != other_line or abs(lightness(colour) - lightness(other_colour)) >= 15, (one, other)


def test_every_colour_is_dark_enough_for_a_line_on_white() -> None:
    assert all(lightness(rule_style(rule)[0]) < 75 for rule in (*RULES.names(), "a rule of the user's own"))
