"""``rasched report``: runs as one HTML file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rasched.cli.errors import print_damaged
from rasched.cli.output import relative_path
from rasched.errors import UsageError

NAME = "report.html"


def report(folders: Sequence[str], metric: str | None, baseline: str | None, output: str | None) -> int:
    """Write the report and print its path; return the exit code, 3 if a file could not be read."""
    from rasched.analysis.load import read_results
    from rasched.analysis.report import write_report

    path = Path(output) if output is not None else Path(folders[0]) / NAME
    if path.suffix not in (".html", ".htm"):
        raise UsageError(f"--output {output} must end in .html")
    results = read_results(folders)
    if path.is_symlink():
        raise UsageError(f"{path} is a symbolic link, through which nothing is written; delete it")
    try:
        write_report(results, path, metric, baseline)
    except OSError as error:
        raise UsageError(f"{path} cannot be written ({error.strerror}); name another file with --output") from error
    print(relative_path(path))
    return print_damaged(results.damaged)
