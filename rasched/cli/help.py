"""``rasched help`` prints what ``--help`` does."""

from __future__ import annotations

from typing import Any

from rasched.cli.errors import unknown_command


def print_help(ctx: Any, name: str | None) -> None:
    """Print the help of a command, or of rasched if ``name`` is None; an unknown name is a UsageError."""
    main = ctx.parent
    if name is None:
        print(main.get_help())
        return
    command = main.command.get_command(main, name)
    if command is None:
        raise unknown_command(name, list(main.command.commands))
    with type(ctx)(command, info_name=name, parent=main) as context:
        print(command.get_help(context))
