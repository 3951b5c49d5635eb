"""A job composed by the fast path is the job that Hydra composes from its files."""

import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra.core.utils import JobRuntime
from omegaconf import OmegaConf

from rasched.compose.composer import Composer, set_output_dir, task_config
from rasched.compose.jobs import JobComposer, expand_overrides
from rasched.errors import UsageError

FORMS = [
    "rule=trend",
    "rule.gain=0.3",
    "rule.gain=1",
    "rule.gain=1e-3",
    "rule.gain='0.3'",
    "rule.gain=null",
    "rule=trend rule.up=1.5 optimizer=adam optimizer.lr=0.01 seed=4",
    "optimizer=adam optimizer.betas=[0.8,0.9]",
    "optimizer=adam optimizer.betas.0=0.8",
    "env.arms=3 env.reward_std=${env.mean_std}",
    "seed=${steps}",
    "seed=${hydra:job.num}",
    "+env.note='a b, c'",
    "+env.note={a:1,b:[2,3]}",
    "++rule.gain=0.4",
    "~optimizer.momentum",
    "~optimizer.momentum=0.0",
    "rule={name:kelly,gain:0.1,temp:2}",
    "signal=raw signal.normalize=center",
    "logger.log_every=null logger.plot=false",
    "agent.hidden=[8,8]",
    "steps=100 seed=12345678901",
    "optimizer.lr=inf",
    "+env.flag=true",
]


@pytest.fixture(scope="module")
def composer() -> Composer:
    return Composer.open()


def _by_hydra(composer: Composer, lines: list[str], num: int) -> dict[str, Any]:
    """Compose the slow way, as Hydra's basic launcher does for each job."""
    whole = composer.compose(["hydra.mode=MULTIRUN", *lines], num)
    set_output_dir(whole, Path("out"))
    return {
        "resolved": OmegaConf.to_container(task_config(whole), resolve=True),
        "config.yaml": OmegaConf.to_yaml(task_config(whole)),
        "hydra.yaml": yaml.safe_load(OmegaConf.to_yaml(OmegaConf.masked_copy(whole, ["hydra"]))),
        "subdir": whole.hydra.sweep.subdir,
    }


def _by_us(jobs: JobComposer, lines: list[str], num: int) -> dict[str, Any]:
    job = jobs.compose(lines, num)
    return {
        "resolved": job.config,
        "config.yaml": job.config_yaml,
        "hydra.yaml": yaml.safe_load(job.hydra_yaml(Path("out"))),
        "subdir": job.subdir,
    }


@pytest.mark.parametrize("form", FORMS)
def test_a_job_is_what_hydra_composes(composer: Composer, form: str) -> None:
    lines = [line if "note" in line else line for line in shlex.split(form)] if "'a b" not in form else [form]
    jobs = JobComposer(composer, ["hydra.mode=MULTIRUN"])
    assert JobRuntime.instance().get("name") == "rasched"
    assert _by_us(jobs, lines, 7) == _by_hydra(composer, lines, 7)


def test_a_job_knows_nothing_of_the_jobs_before_it(composer: Composer) -> None:
    jobs = JobComposer(composer, ["hydra.mode=MULTIRUN"])
    plain = [line for form in FORMS for line in [shlex.split(form)] if "'a b" not in form]
    for num, lines in enumerate(plain):
        jobs.compose(lines, num)
    for num, lines in enumerate(plain):
        assert _by_us(jobs, lines, num) == _by_hydra(composer, lines, num)


@pytest.mark.parametrize(
    ("form", "sentence"),
    [
        (
            "rule=kely",
            "rule 'kely' is unknown; known rules: bandit, cosine, greedy, kelly, ",
        ),
        ("rule.gian=1", "rule.gian is unknown; settings of rule=kelly: gain, temp (did you mean 'gain'?)"),
        ("rule=trend rule.gain=1", "rule.gain is unknown; settings of rule=trend: up, down"),
        ("steps=many", "steps must be a whole number, got 'many'"),
        ("ruel.gain=1", "ruel.gain is unknown: there is no 'ruel'"),
        ("env=gaussain", "environment 'gaussain' is unknown"),
        ("rule=[", "'rule=[' is not readable as an override"),
    ],
)
def test_a_wrong_override_is_one_sentence_by_either_path(composer: Composer, form: str, sentence: str) -> None:
    for compose in (composer.compose, lambda lines: JobComposer(composer, []).compose(lines, 0)):
        with pytest.raises(UsageError) as caught:
            compose(form.split())
        assert str(caught.value).startswith(sentence)
        assert "\n" not in str(caught.value)


def test_a_sweep_has_the_jobs_of_hydras_grammar(composer: Composer) -> None:
    own, jobs = expand_overrides(
        composer,
        [
            "rule=glob([kelly,s*g,t*,v*])",
            "seed=range(0,2)",
            "optimizer.lr=choice(0.1,1)",
            "agent.hidden=[8],[4,4]",
            "hydra.verbose=true",
        ],
    )
    assert own == ["hydra.verbose=true"]
    assert len(jobs) == 4 * 2 * 2 * 2
    assert jobs[0] == ["rule=kelly", "seed=0", "optimizer.lr=0.1", "agent.hidden=[8]"]
    assert jobs[-1] == ["rule=variance", "seed=1", "optimizer.lr=1", "agent.hidden=[4,4]"]


def test_hydras_own_settings_cannot_be_swept_over(composer: Composer) -> None:
    with pytest.raises(UsageError, match="hydra.verbose=true,false sweeps over Hydra's own settings"):
        expand_overrides(composer, ["hydra.verbose=true,false"])


def test_jobs_of_a_sweep_share_what_the_clock_said(composer: Composer) -> None:
    jobs = JobComposer(composer, [])
    moments = {jobs.compose([f"seed={seed}", "+env.at=${now:%f}"], seed).config["env"]["at"] for seed in range(3)}
    assert len(moments) == 3  # a value of the job's own is resolved in the job, as by Hydra


@pytest.mark.parametrize("link", [".hydra", ".hydra/config.yaml", ".hydra/overrides.yaml.new"])
def test_hydras_files_replace_links(composer: Composer, tmp_path: Path, link: str) -> None:
    folder, victim = tmp_path / "run", tmp_path / "victim"
    victim.mkdir()
    (victim / "config.yaml").write_text("mine")
    (folder / link).parent.mkdir(parents=True)
    (folder / link).symlink_to(victim if link == ".hydra" else victim / "config.yaml")
    JobComposer(composer, []).compose(["seed=3"], 0).write_hydra_files(folder)
    assert (victim / "config.yaml").read_text() == "mine" and len(list(victim.iterdir())) == 1
    names = sorted(path.name for path in (folder / ".hydra").iterdir())
    assert names == ["config.yaml", "hydra.yaml", "overrides.yaml"]
    assert yaml.safe_load((folder / ".hydra/overrides.yaml").read_text()) == ["seed=3"]
