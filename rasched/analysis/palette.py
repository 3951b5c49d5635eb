"""One fixed colour and line style per rule, in every picture: colour-blind safe, and told apart in grey by the line."""

from __future__ import annotations

import zlib

# Okabe and Ito's colours without the yellow, which is too light for a line on white
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c510a", "#7a5195")
_DOT_DASHES = (0, (5, 1, 1, 1, 1, 1))
_LONG_DASHES = (0, (8, 2))
_LINES = ("-", "--", "-.", ":", _DOT_DASHES, _LONG_DASHES)
# rules with the same line differ in lightness, which colour-blind eyes and a grey print keep
_RULES: dict[str, tuple[str, object]] = {
    "none": ("#222222", "-"),
    "kelly": ("#0072b2", "-"),
    "linear": ("#e69f00", "-"),
    "trend": ("#d55e00", "--"),
    "cosine": ("#56b4e9", "--"),
    "scaling": ("#009e73", "-."),
    "greedy": ("#5a3305", "-."),
    "variance": ("#cc79a7", ":"),
    "plateau": ("#7a5195", ":"),
    "kl_adaptive": ("#0072b2", _DOT_DASHES),
    "bandit": ("#e69f00", _DOT_DASHES),
    "kl_search": ("#8c510a", _LONG_DASHES),
    "search_hold": ("#009e73", _LONG_DASHES),
}


def rule_style(rule: str) -> tuple[str, object]:
    """Return colour and line style of a rule; one that is not listed has a fixed pair by its name."""
    number = zlib.crc32(rule.encode())
    return _RULES.get(rule, (_COLOURS[number % len(_COLOURS)], _LINES[number // 8 % len(_LINES)]))


def numbered_style(index: int) -> tuple[str, object]:
    """Return colour and line style of a variant that differs in other settings than the rule."""
    return _COLOURS[index % len(_COLOURS)], _LINES[index // len(_COLOURS) % len(_LINES)]
