"""Shell completion that knows Hydra's overrides: groups, their choices, keys, and values as they stand."""

from __future__ import annotations

import os
from collections.abc import Sequence


def complete(words: Sequence[str], incomplete: str) -> list[str]:
    """Return what may follow ``incomplete``; nothing if anything is wrong, since a shell shows no errors."""
    is_bash = os.environ.get("_RASCHED_COMPLETE") == "complete_bash"
    try:
        if is_bash:
            return _for_bash(words, incomplete)
        return candidates(words, incomplete)
    except BaseException:  # SystemExit too: Hydra reads the words by argparse
        return []


def _for_bash(words: Sequence[str], incomplete: str) -> list[str]:
    """Join the words that bash splits at ``=``, and return what follows the last ``=``."""
    if _is_at_equals():  # Typer's parser ignores a lone =
        incomplete = "="
    joined: list[str] = []
    glue = False
    for word in words:
        if joined and (glue or word.startswith("=")):
            joined[-1] += word
        else:
            joined.append(word)
        glue = word.endswith("=")
    head = ""
    if joined and (glue or incomplete.startswith("=")):
        head = joined.pop()
    override = head + incomplete
    completions = candidates(joined, override)
    if "=" not in override:
        return completions
    value_start = override.rindex("=") + 1
    return [completion[value_start:] for completion in completions]


def _is_at_equals() -> bool:
    words = os.environ.get("COMP_WORDS", "").split("\n")
    word_index = int(os.environ.get("COMP_CWORD", -1))
    return 0 <= word_index < len(words) and words[word_index] == "="


def candidates(words: Sequence[str], incomplete: str) -> list[str]:
    """Return completions by Hydra's own plugin; a lone ``key=`` or ``key.`` is completed further."""
    from hydra.plugins.completion_plugin import DefaultCompletionPlugin

    from rasched.compose.composer import Composer

    plugin = DefaultCompletionPlugin(Composer.open(config_dir=_config_dir(words)).loader)
    before = [word for word in words if not word.startswith("-") and "," not in word]
    head, last = _split_choices(incomplete)
    completions = _query(plugin, before, last)
    while len(completions) == 1 and completions[0] != last and completions[0].endswith(("=", ".", "/")):
        last = completions[0]
        completions = _query(plugin, before, last) or completions
        if completions == [last]:
            break
    return [head + word[len(last.split("=")[0]) + 1 :] if head else word for word in completions]


def _query(plugin: object, before: Sequence[str], word: str) -> list[str]:
    from rasched.compose.hydra_compat import complete_config

    return complete_config(plugin, " ".join([*before, word]))


def _split_choices(incomplete: str) -> tuple[str, str]:
    """Split ``rule=kelly,tr`` into the finished choices and the last one: ``rule=kelly,`` and ``rule=tr``."""
    if "=" not in incomplete or "," not in incomplete:
        return "", incomplete
    finished, _, last = incomplete.rpartition(",")
    return f"{finished},", f"{incomplete.split('=')[0]}={last}"


def _config_dir(words: Sequence[str]) -> str | None:
    for flag in ("--config-dir", "-cd"):
        if flag in words[:-1]:
            return words[words.index(flag) + 1]
    return None
