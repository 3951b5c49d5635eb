"""``rasched report``: one HTML file that says what was run and what came of it, without network or script."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

Rasched = Callable[..., Any]
SWEEP = ("sweep", "rule=none,kelly", "seed=range(0,2)", "optimizer.lr=0.1,0.3", "steps=30", "-j", "1")
VOID = ("meta", "img", "br", "!doctype")


class Page(HTMLParser):
    """Tags, attributes and texts of a page whose tags are all closed."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.is_open: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))
        assert self.is_open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.is_open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.is_open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def names(self) -> set[str]:
        return {tag for tag, _ in self.tags}

    @property
    def pictures(self) -> list[str]:
        sources = [str(attributes["src"]) for tag, attributes in self.tags if tag == "img"]
        start = "data:image/svg+xml;base64,"
        assert all(source.startswith(start) for source in sources)
        return [base64.b64decode(source.removeprefix(start)).decode() for source in sources]


def edit(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    content = json.loads(path.read_text())
    content.pop("crc32", None)
    change(content)
    path.write_text(json.dumps(content))


def test_a_report_says_what_compare_says_without_network_or_script(rasched: Rasched, here: Path) -> None:
    assert rasched(*SWEEP, "hydra.sweep.dir=out").code == 0
    result = rasched("report", "out")
    assert result.code == 0 and result.out.strip() == "out/report.html"
    page = Page(here / "out/report.html")
    words = " ".join(rasched("compare", "out").out.split())
    for sentence in page.texts[page.texts.index("Answer") + 1 : page.texts.index("8 runs: 8 done")]:
        assert sentence in words
    assert len(page.pictures) == 3  # curves, robustness, profile
    assert all("<svg" in picture and 'href="http' not in picture for picture in page.pictures)
    facts = ("gaussian", "none, kelly", "0.1, 0.3", "torch", "instructions", "None.")
    assert set(facts) <= set(page.texts) and "rasched compare out" in " ".join(page.texts)
    overrides = "rule = none, kelly; seed = 0, 1; optimizer.lr = 0.1, 0.3; steps = 30"
    assert any(overrides in text for text in page.texts)
    assert not page.names & {"script", "link", "iframe", "object", "base", "form", "a"}
    policy = next(attributes["content"] for _, attributes in page.tags if "http-equiv" in attributes)
    assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    source = (here / "out/report.html").read_text()
    assert "url(" not in source and "@import" not in source


def test_every_name_is_escaped(rasched: Rasched, here: Path) -> None:
    assert rasched("sweep", "seed=0,1", "steps=5", "hydra.sweep.dir=out", "-j", "1").code == 0
    evil = "<script>alert(1)</script>'\"&"
    (folder,) = here.glob("out/0_*")

    def change(record: dict[str, Any]) -> None:
        record |= {"status": "failed", "error": evil, "overrides": [f"rule={evil}", evil], "command": ["rasched", evil]}
        record["versions"][evil] = record["git"]["commit"] = evil
        record["scores"][evil] = 1.0

    edit(folder / "run.json", change)
    shutil.move(here / "out", here / "<b>out")
    assert rasched("report", "<b>out", "-o", "page.html").code == 0
    page = Page(here / "page.html")
    assert not page.names & {"script", "b"}
    assert any(evil in text for text in page.texts)


def test_failed_runs_have_their_reason_and_a_sweep_in_progress_its_statuses(rasched: Rasched, here: Path) -> None:
    assert rasched("sweep", "seed=0,1,2", "steps=5", "hydra.sweep.dir=out", "-j", "1").code == 0
    failed, running, missing = sorted(here.glob("out/[0-9]*"))
    edit(failed / "run.json", lambda record: record.update(status="failed", error="the loss became nan at step 3"))
    edit(running / "run.json", lambda record: record.update(status="running", scores={}))
    shutil.rmtree(missing)
    assert rasched("report", "out").code == 0
    texts = Page(here / "out/report.html").texts
    assert "the loss became nan at step 3" in texts and "3 runs: 1 failed, 1 running, 1 missing" in texts
    assert "No run is done yet, so there is nothing to compare." in texts


def test_a_report_of_one_run_and_of_two_sweeps(rasched: Rasched, here: Path) -> None:
    assert rasched("run", "steps=50", "control=true", "logger.plot=false", "hydra.run.dir=one").code == 0
    assert rasched("sweep", "rule=none", "seed=0,1", "steps=50", "hydra.sweep.dir=a", "-j", "1").code == 0
    assert rasched("sweep", "rule=trend", "seed=0,1", "steps=50", "hydra.sweep.dir=b", "-j", "1").code == 0
    assert rasched("report", "one").code == 0
    page = Page(here / "one/report.html")
    assert len(page.pictures) == 1 and any("single seed" in text for text in page.texts)
    assert rasched("report", "a", "b").code == 0
    assert any("rule=trend" in text for text in Page(here / "a/report.html").texts)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("empty",), "empty holds no run"),
        (("nothing",), "there is no folder nothing"),
        (("one", "--metric", "regret"), "--metric regret is no score of these runs"),
        (("one", "-o", "page.pdf"), "--output page.pdf must end in .html"),
        (("one", "-o", "no/page.html"), "no/page.html cannot be written"),
    ],
)
def test_what_cannot_be_reported_is_one_sentence(
    rasched: Rasched, here: Path, words: tuple[str, ...], sentence: str
) -> None:
    (here / "empty").mkdir()
    assert rasched("run", "steps=5", "control=false", "logger.plot=false", "hydra.run.dir=one").code == 0
    result = rasched("report", *words)
    assert result.code == 2 and sentence in result.err and len(result.err.splitlines()) == 1
