"""A report of runs as one HTML file: what was run, the answer, the table, the pictures, and how to do it again.

The file needs no network and holds no script. A policy in its head forbids both, and every text is escaped, since the
records may come from a stranger.
"""

from __future__ import annotations

import base64
import shlex
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rasched.analysis.compare import Comparison
from rasched.analysis.comparison_table import comparison_title, difference_columns, score_columns, variant_columns
from rasched.analysis.load import Results
from rasched.analysis.report_style import STYLE
from rasched.analysis.run_folder import CONTROL_DIR, INDEX, Run, printable, read_sweep
from rasched.analysis.variants import parse_overrides
from rasched.errors import DamagedFileError, UsageError
from rasched.records.primary_score import primary_score

_MOST_RUNS = 2_000  # rows of the table of all runs
_MOST_VALUES = 12  # of a setting that differs between runs, which are named
_PROBLEM = {  # what a reader asks first, by the name of the setting
    "environment": ("env.id", "env.name", "env._target_"),
    "agent": ("agent.name", "agent._target_"),
    "rule": ("rule.name", "rule._target_"),
    "optimizer": ("optimizer.name",),
    "base learning rate": ("optimizer.lr",),
    "steps": ("steps",),
    "seeds": ("seed",),
}


def write_report(results: Results, path: Path, metric: str | None = None, baseline: str | None = None) -> None:
    """Write the report of runs as one HTML file.

    Args:
        results: The runs of one or several sweeps, or one run.
        path: The file, which is replaced.
        metric: The score, as :meth:`Results.compare` takes it.
        baseline: The overrides that mark the baseline, likewise.

    Raises:
        UsageError: The metric or the baseline is unknown. Without a finished run neither is looked at.
        OSError: The file cannot be written.

    """
    path.write_text(report_html(results, metric, baseline), encoding="utf-8")


def report_html(results: Results, metric: str | None = None, baseline: str | None = None) -> str:
    """Return the report of runs as text; the arguments are those of :func:`write_report`."""
    has_done = any(run.status == "done" for run in results)
    comparison = results.compare(metric, (), baseline) if has_done else None
    title = f"rasched: {', '.join(folder.absolute().name or str(folder) for folder in results.folders)}"
    sections = [
        _answer(results, comparison),
        _table_section(comparison),
        _pictures(results, comparison),
        _what_was_run(results),
        _not_done(results),
        _commands(results),
        _all_runs(results),
    ]
    moment = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return (
        "<!doctype html>\n<html lang='en'>\n<head>\n<meta charset='utf-8'>\n"
        "<meta http-equiv='Content-Security-Policy' content=\"default-src 'none'; img-src data:; "
        "style-src 'unsafe-inline'\">\n"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>\n"
        "<meta name='color-scheme' content='light dark'>\n"
        f"<title>{_text(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f"<h1>{_text(title)}</h1>\n<p class='quiet'>Written {moment}</p>\n"
        + "\n".join(section for section in sections if section)
        + "\n</body>\n</html>\n"
    )


def _answer(results: Results, comparison: Comparison | None) -> str:
    counts = Counter(run.status for run in results)
    statuses = ", ".join(f"{count:,} {name}" for name, count in counts.items())
    runs = f"{len(results):,} run{'s' * (len(results) != 1)}: {statuses}"
    if comparison is None:
        sentences = ["No run is done yet, so there is nothing to compare."]
    else:
        sentences = [*comparison.answer, *comparison.notes]
    paragraphs = "".join(f"<p>{_text(sentence)}</p>" for sentence in sentences)
    return f"<section class='answer'><h2>Answer</h2>{paragraphs}<p class='quiet'>{_text(runs)}</p></section>"


def _table_section(comparison: Comparison | None) -> str:
    if comparison is None:
        return ""
    rows = comparison.rows
    columns = variant_columns(rows)
    num_left = len(columns)  # which are text
    columns |= score_columns(rows, wide=True)
    if comparison.num_tests:
        columns |= difference_columns(rows, comparison.marks, wide=True)
    cells = [[column[index] for column in columns.values()] for index in range(len(rows))]
    note = (
        "IQM: interquartile mean, with a 95 % interval by the stratified bootstrap. P(better): probability that a "
        "random run is better than one of the baseline. p Holm: Wilcoxon signed-rank test on pairs of the same seed, "
        "corrected for the number of variants; * below 5 %."
    )
    table = _table([name.strip() for name in columns], cells, num_left)
    title = _text(comparison_title(comparison))
    return f"<section><h2>Comparison</h2><p>{title}</p>{table}<p class='quiet'>{note}</p></section>"


def _pictures(results: Results, comparison: Comparison | None) -> str:
    figures = "".join(
        f"<figure><img alt='{_text(caption)}' src='data:image/svg+xml;base64,{data}'>"
        f"<figcaption>{_text(caption)}</figcaption></figure>"
        for caption, data in _draw(results, comparison)
    )
    return f"<section><h2>Pictures</h2>{figures}</section>" if figures else ""


def _draw(results: Results, comparison: Comparison | None) -> Iterator[tuple[str, str]]:
    """Yield caption and SVG, in base64, of each picture that these runs have."""
    from rasched.analysis import sweep_plots

    with TemporaryDirectory() as folder:
        path = Path(folder) / "picture.svg"
        single = _single_run(results)
        if single is not None:
            if _draw_run(single, path):
                yield "Reward and learning rate", _read(path)
            return
        if comparison is None:
            return
        pictures: list[tuple[str, Callable[[], None]]] = [
            (
                "Reward and learning rate over steps: mean over seeds, with a 95 % band",
                partial(sweep_plots.plot_curves, results, path),
            ),
            (
                "Score over the base learning rate, with 95 % intervals",
                partial(sweep_plots.plot_robustness, comparison, path),
            ),
            (
                "Performance profile: the part of a variant's runs with a score above each threshold",
                partial(sweep_plots.plot_profile, comparison, path),
            ),
        ]
        for caption, draw in pictures:
            try:
                draw()
            except UsageError:  # these runs have no such picture: too few base rates, or no reward
                continue
            yield caption, _read(path)


def _draw_run(run: Run, path: Path) -> bool:
    from rasched.analysis.load import load_run
    from rasched.analysis.plots import RunMarks, lr_vs_reward

    try:
        control = load_run(run.folder / CONTROL_DIR).metrics if (run.folder / CONTROL_DIR).is_dir() else None
        lr_vs_reward(run.metrics, path, RunMarks.of(run.config, control))
    except (FileNotFoundError, ValueError, DamagedFileError):  # it recorded nothing that can be drawn
        return False
    return True


def _read(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()


def _what_was_run(results: Results) -> str:
    settings = [_settings(run) for run in results]
    rows = []
    for name, keys in _PROBLEM.items():
        values = [next((own[key] for key in keys if own.get(key) is not None), None) for own in settings]
        rows.append((name, _values(values)))
    rows.append(("overrides", _overrides(results)))
    rows += [("started", _span(run.started_at for run in results)), ("training time", _wall_time(results))]
    for name in ("versions", "machine"):
        rows += [(key, value) for key, value in _entries(results, name)]
    rows += _commits(results)
    common = {
        key: value
        for key, value in (settings[0] if settings else {}).items()
        if all(key in own and own[key] == value for own in settings)
    }
    facts = _table(["", ""], [row for row in rows if row[1]], 2, "facts")
    more = _table(["setting", "value"], [(key, _value(value)) for key, value in common.items()], 2)
    return (
        f"<section><h2>What was run</h2>{facts}"
        f"<details><summary>All {len(common)} settings that the runs share</summary>{more}</details></section>"
    )


def _overrides(results: Results) -> str:
    """Return the overrides that the runs were started with, each with its different values."""
    given = [parse_overrides(run.overrides) for run in results]
    keys = dict.fromkeys(key for own in given for key in own)
    return "; ".join(f"{key} = {_values(own.get(key) for own in given)}" for key in keys) or "none"


def _settings(run: Run) -> Mapping[str, Any]:
    try:
        return {"seed": run.seed, **run.settings}
    except DamagedFileError:
        return {"seed": run.seed}


def _values(values: Iterable[Any]) -> str:
    """Return the different values of a setting in words: ``kelly, none``, or ``0 to 19`` for seeds."""
    unique = list(dict.fromkeys(value for value in values if value is not None))
    is_range = len(unique) > 2 and all(type(value) is int for value in unique)
    if is_range and sorted(unique) == list(range(min(unique), max(unique) + 1)):
        return f"{min(unique)} to {max(unique)}"
    unique = sorted(unique) if all(isinstance(value, (int, float)) for value in unique) else unique
    more = f" and {len(unique) - _MOST_VALUES} more" if len(unique) > _MOST_VALUES else ""
    return ", ".join(map(_value, unique[:_MOST_VALUES])) + more


def _value(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return f"{value:,}" if isinstance(value, int) and value >= 10_000 else printable(value)


def _span(moments: Iterable[str | None]) -> str:
    known = sorted(moment for moment in moments if moment)
    if not known:
        return ""
    first, last = (moment[:16].replace("T", " ") for moment in (known[0], known[-1]))
    return f"{first} UTC" if first == last else f"{first} to {last} UTC"


def _wall_time(results: Results) -> str:
    """Return the seconds of the sweeps, since the runs of a batch share theirs; of single runs, the sum."""
    sweeps = {run.sweep for run in results if (run.sweep / INDEX).is_file()}
    times = [_index(sweep).get("wall_time") for sweep in sweeps]
    times += [run.record.get("wall_time") for run in results if run.sweep not in sweeps]
    known = [time for time in times if isinstance(time, (int, float))]
    return f"{sum(known):,.1f} s" if known else ""


def _entries(results: Results, name: str) -> list[tuple[str, str]]:
    """Return the entries of ``versions`` or ``machine`` of all runs, each with its different values."""
    records = [run.record[name] for run in results if isinstance(run.record.get(name), dict)]
    keys = dict.fromkeys(str(key) for record in records for key in record)
    return [(key, _values(record.get(key) for record in records)) for key in keys]


def _commits(results: Results) -> list[tuple[str, str]]:
    git = [run.record["git"] for run in results if isinstance(run.record.get("git"), dict)]
    dirty = sum(bool(entry.get("dirty")) for entry in git)
    changes = f", with uncommitted changes in {dirty:,} runs (uncommitted.diff)" if dirty else ""
    commits = _values(entry.get("commit") for entry in git)
    return [("commit", commits + changes)] if commits else []


def _not_done(results: Results) -> str:
    rows = [
        (" ".join(run.overrides) or "defaults", run.status, run.error or "", str(run.folder))
        for run in results
        if run.status != "done"
    ]
    damaged = "".join(f"<li>{_text(sentence)}</li>" for sentence in results.damaged)
    unread = f"<p>Files that could not be read:</p><ul>{damaged}</ul>" if damaged else ""
    if not rows:
        return f"<section><h2>Failed runs</h2><p>None.</p>{unread}</section>"
    table = _table(["run", "status", "reason", "folder"], rows[:_MOST_RUNS], 4)
    return f"<section><h2>Runs that are not done</h2>{table}{unread}</section>"


def _commands(results: Results) -> str:
    """Show the commands that give these numbers again, from the recorded ones."""
    commits = dict.fromkeys(
        str(run.record["git"]["commit"]) for run in results if (run.record.get("git") or {}).get("commit")
    )
    lines = [f"git checkout {shlex.quote(commit)}" for commit in commits]
    recorded = dict.fromkeys(filter(None, map(_command, _sources(results))))
    lines += recorded
    folders = " ".join(shlex.quote(str(folder)) for folder in results.folders)
    lines += [f"rasched compare {folders}", f"rasched report {folders}"]
    best = next((run for run in results if run.has_policy), None)
    if best is not None:
        lines.append(f"rasched eval {folders.split(' ')[0] if len(results.folders) == 1 else _quoted(best)}")
    done = next((run for run in results if run.status == "done"), None)
    if done is not None:
        lines.append(f"rasched rerun {_quoted(done)}  # one run: the same numbers to the byte?")
    code = "\n".join(_text(line) for line in lines)
    return f"<section><h2>Do it again</h2><pre>{code}</pre></section>"


def _quoted(run: Run) -> str:
    return shlex.quote(str(run.folder))


def _sources(results: Results) -> list[Mapping[str, Any]]:
    """Return the records that hold the commands: of each sweep one, and of each single run."""
    sources: dict[Path, Mapping[str, Any]] = {}
    for run in results:
        is_sweep = (run.sweep / INDEX).is_file()
        folder = run.sweep if is_sweep else run.folder
        if folder.name != CONTROL_DIR and folder not in sources:
            sources[folder] = _index(folder) if is_sweep else run.record
    return list(sources.values())


def _index(folder: Path) -> Mapping[str, Any]:
    try:
        return read_sweep(folder).record
    except DamagedFileError:
        return {}


def _command(record: Mapping[str, Any]) -> str | None:
    """Return a recorded command as one types it; of a run that Python started, the command with its overrides."""
    words = record.get("command")
    if isinstance(words, list) and words and words[0] == "rasched":
        return shlex.join(map(printable, words))
    overrides = record.get("overrides")
    return shlex.join(["rasched", "run", *map(printable, overrides)]) if isinstance(overrides, list) else None


def _all_runs(results: Results) -> str:
    rows = [
        (
            str(run.folder),
            " ".join(run.overrides),
            "" if run.seed is None else str(run.seed),
            run.status,
            "" if (score := primary_score(run.scores)) is None else f"{score:.6g}",
            "yes" if run.has_policy else "",
        )
        for run in results.all[:_MOST_RUNS]
    ]
    table = _table(["folder", "overrides", "seed", "status", "score", "policy"], rows, 2)
    more = f"<p>and {len(results) - _MOST_RUNS:,} more</p>" if len(results) > _MOST_RUNS else ""
    return f"<section><details><summary>All {len(results):,} runs</summary>{table}{more}</details></section>"


def _single_run(results: Results) -> Run | None:
    """Return the only run, if the folder is that of one run; it may have a control."""
    runs = [run for run in results if run.folder.name != CONTROL_DIR]
    is_single = len(runs) == 1 and not (runs[0].sweep / INDEX).is_file()
    return runs[0] if is_single else None


def _table(names: Sequence[str], rows: Sequence[Sequence[str]], num_left: int, kind: str = "") -> str:
    """Return a table; the first ``num_left`` columns are text, the others numbers, which end at the right."""

    def row(cells: Sequence[str], tag: str) -> str:
        sides = ["" if index < num_left else " class='number'" for index in range(len(cells))]
        return "<tr>" + "".join(f"<{tag}{s}>{_text(c)}</{tag}>" for s, c in zip(sides, cells, strict=True)) + "</tr>"

    head = f"<thead>{row(names, 'th')}</thead>" if any(names) else ""
    body = "".join(row(cells, "td") for cells in rows)
    return f"<div class='scroll'><table class='{kind}'>{head}<tbody>{body}</tbody></table></div>"


def _text(value: object) -> str:
    return escape(printable(value), quote=True)
