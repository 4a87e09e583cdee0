"""Weights & Biases, with a faked package: what is logged, how a run is continued, and that no failure ends one."""

import json
import sys
import types

import pytest

from stylegan_tf.training.tracking import WandB


class FakeRun:
    def __init__(self, options):
        self.id = options["id"] or "id1"
        self.options, self.logged, self.finished, self.axes = options, [], False, {}
        self.broken = False

    def define_metric(self, name, step_metric):
        self.axes[name] = step_metric

    def log(self, values):
        if self.broken:
            raise ConnectionError("no route to host")
        self.logged.append(values)

    def finish(self):
        self.log({})
        self.finished = True


class FakeWandB(types.ModuleType):
    def __init__(self):
        super().__init__("wandb")
        self.runs, self.reachable = [], True

    def init(self, **options):
        if not self.reachable:
            raise RuntimeError("No API key configured. Use `wandb login` to log in.")
        self.runs.append(FakeRun(options))
        return self.runs[-1]

    def Image(self, path):
        with open(path, "rb") as file:
            return "image", file.read()


@pytest.fixture
def wandb(monkeypatch):
    module = FakeWandB()
    monkeypatch.setitem(sys.modules, "wandb", module)
    return module


@pytest.fixture
def run_dir(tmp_path):
    folder = tmp_path / "00003-digits-cpu"
    folder.mkdir()
    return folder


def test_what_is_logged(wandb, run_dir):
    lines = []
    tracking = WandB("faces", run_dir, {"seed": 1000, "loss": {"r1_gamma": 10.0}}, lines.append)
    (run_dir / "fakes.png").write_bytes(b"PNG")
    tracking.scalars({"D_loss": 0.5, "fid50k": 12.0}, 4000)
    tracking.image("fakes", run_dir / "fakes.png", 4000)
    tracking.finish()
    (run,) = wandb.runs
    assert run.options == {
        "project": "faces",
        "name": "00003-digits-cpu",
        "dir": str(run_dir),
        "config": {"seed": 1000, "loss": {"r1_gamma": 10.0}},
        "id": None,
        "resume": "allow",
    }
    assert run.axes == {"*": "images_seen"}
    assert run.logged[:2] == [
        {"D_loss": 0.5, "fid50k": 12.0, "images_seen": 4000},
        {"fakes": ("image", b"PNG"), "images_seen": 4000},
    ]
    assert run.finished and not lines


def test_a_resumed_run_continues_its_curves(wandb, run_dir):
    WandB("faces", run_dir, {}, print).finish()
    wandb.runs[0].id = "another"  # the file decides, not what is left in memory
    WandB("faces", run_dir, {}, print)
    assert wandb.runs[1].options["id"] == "id1"
    assert json.loads((run_dir / "wandb.json").read_text()) == {"id": "id1", "project": "faces"}


def test_missing_package(monkeypatch, run_dir):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(ValueError, match=r"^--wandb needs .*: pip install wandb$"):
        WandB("faces", run_dir, {}, print)
    assert not list(run_dir.iterdir())


def test_a_new_run_that_cannot_be_opened(wandb, run_dir):
    wandb.reachable = False
    with pytest.raises(ValueError, match=r"wandb login"):
        WandB("faces", run_dir, {}, print)
    assert not list(run_dir.iterdir())


def test_a_resumed_run_goes_on_without_the_service(wandb, run_dir):
    WandB("faces", run_dir, {}, print)
    wandb.reachable = False
    lines = []
    tracking = WandB("faces", run_dir, {}, lines.append)
    tracking.scalars({"D_loss": 0.5}, 8000)
    tracking.image("fakes", run_dir / "missing.png", 8000)
    tracking.finish()
    (line,) = lines
    assert "RuntimeError" in line and "goes on" in line
    # The next start continues the same curves.
    wandb.reachable = True
    WandB("faces", run_dir, {}, print)
    assert wandb.runs[-1].options["id"] == "id1"


def test_a_failure_in_the_run_is_said_once(wandb, run_dir):
    lines = []
    tracking = WandB("faces", run_dir, {}, lines.append)
    wandb.runs[0].broken = True
    tracking.scalars({"D_loss": 0.5}, 4000)
    tracking.scalars({"D_loss": 0.4}, 8000)
    tracking.image("fakes", run_dir / "missing.png", 8000)
    tracking.finish()
    assert len(lines) == 1 and "no route to host" in lines[0]
    # It is tried again, as networks come back.
    wandb.runs[0].broken = False
    tracking.scalars({"D_loss": 0.3}, 12000)
    assert wandb.runs[0].logged == [{"D_loss": 0.3, "images_seen": 12000}]


def test_ctrl_c_is_no_failure_of_the_service(wandb, run_dir):
    tracking = WandB("faces", run_dir, {}, print)

    def interrupt(values):
        raise KeyboardInterrupt

    wandb.runs[0].log = interrupt
    with pytest.raises(KeyboardInterrupt):
        tracking.scalars({}, 0)
