"""Shell completion that knows Hydra's overrides: groups, their choices, keys, and values as they stand."""

from __future__ import annotations

import os
from collections.abc import Sequence


def complete(words: Sequence[str], incomplete: str) -> list[str]:
    """Return what may follow ``incomplete``; nothing, silently, where anything is wrong (a shell shows no errors)."""
    is_bash = os.environ.get("_RASCHED_COMPLETE") == "complete_bash"
    try:
        if is_bash:
            return _for_bash(words, incomplete)
        return candidates(words, incomplete)
    except BaseException:  # SystemExit too: Hydra reads the words by argparse
        return []


def _for_bash(words: Sequence[str], incomplete: str) -> list[str]:
    """Bash takes ``=`` for the end of a word: join what it split, and answer what stands behind the last one."""
    if _asked_at_equals():  # Typer's parser takes a lone = for nothing typed
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
    whole = head + incomplete
    found = candidates(joined, whole)
    if "=" not in whole:
        return found
    typed = whole.rindex("=") + 1
    return [word[typed:] for word in found]


def _asked_at_equals() -> bool:
    words = os.environ.get("COMP_WORDS", "").split("\n")
    place = int(os.environ.get("COMP_CWORD", -1))
    return 0 <= place < len(words) and words[place] == "="


def candidates(words: Sequence[str], incomplete: str) -> list[str]:
    """Return completions by Hydra's own plugin; a lone ``key=`` or ``key.`` is opened to what stands behind it."""
    from hydra.plugins.completion_plugin import DefaultCompletionPlugin

    from rasched.compose.composer import Composer

    flags = _config_dir(words)
    plugin = DefaultCompletionPlugin(Composer.open(config_dir=flags).loader)
    before = [word for word in words if not word.startswith("-") and "," not in word]
    head, last = _sweep(incomplete)
    found = _query(plugin, before, last)
    while len(found) == 1 and found[0] != last and found[0].endswith(("=", ".", "/")):
        last = found[0]
        found = _query(plugin, before, last) or found
        if found == [last]:
            break
    return [head + word[len(last.split("=")[0]) + 1 :] if head else word for word in found]


def _query(plugin: object, before: Sequence[str], word: str) -> list[str]:
    from rasched.compose.hydra_compat import complete_config

    line = " ".join([*before, word])
    return complete_config(plugin, line)


def _sweep(incomplete: str) -> tuple[str, str]:
    """Split ``rule=kelly,tr`` into what is settled and the word that asks: ``rule=kelly,`` and ``rule=tr``."""
    if "=" not in incomplete or "," not in incomplete:
        return "", incomplete
    settled, _, last = incomplete.rpartition(",")
    return f"{settled},", f"{incomplete.split('=')[0]}={last}"


def _config_dir(words: Sequence[str]) -> str | None:
    for flag in ("--config-dir", "-cd"):
        if flag in words[:-1]:
            return words[words.index(flag) + 1]
    return None
