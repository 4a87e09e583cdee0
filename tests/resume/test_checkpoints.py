"""Checkpoints are whole or not there: damage, a full disk and kill -9 cost at most the one that is being written."""

import dataclasses
import errno
import json
import os
import pathlib
import random
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow as tf

from dnnlib.files import atomic_folder
from stylegan_tf.recipes.presets import make_config
from stylegan_tf.recipes.settings import override, to_dict
from stylegan_tf.training.checkpoint import Progress, checkpoints, load_newest, save_checkpoint
from stylegan_tf.training.resuming import RESUMABLE, find_same_run, load_run_config, resumed_config

ROOT = pathlib.Path(__file__).parents[2]


def make_variables(value=0):
    """Variables of several types and shapes, filled with a value."""
    return {
        "G/mapping/dense0/kernel": tf.Variable(tf.fill([3, 2], float(value))),
        "G/mapping/dense0/kernel/m": tf.Variable(tf.fill([3, 2], value / 3)),
        "G_optimizer/updates": tf.Variable(value, dtype=tf.int64),
    }


def values_of(variables):
    return {name: variable.numpy().tolist() for name, variable in variables.items()}


def save(run_dir, kimg, **options):
    """Saves a checkpoint of `kimg`, whose variables are filled with `kimg`; returns its path."""
    return save_checkpoint(run_dir, make_variables(kimg), Progress(images_seen=1000 * kimg, lod=2.5), **options)


def names(run_dir):
    return sorted(path.name for path in run_dir.iterdir())


# Saving and loading.


def test_round_trip(tmp_path):
    variables = make_variables(7)
    progress = Progress(images_seen=7123, lod=1.75, seconds=1.5, tick=3)
    path = save_checkpoint(tmp_path, variables, progress)
    assert names(tmp_path) == ["checkpoint-000007.npz"]
    loaded = make_variables()
    assert load_newest(tmp_path, loaded) == (progress, path, [])
    assert values_of(loaded) == values_of(variables)
    with np.load(path, allow_pickle=False) as archive:
        assert len({name: archive[name] for name in archive}) == 4


def test_mirrored_variables(tmp_path):
    strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    with strategy.scope():
        variables = make_variables(7)
        loaded = make_variables()
    save_checkpoint(tmp_path, variables, Progress())
    load_newest(tmp_path, loaded)
    assert values_of(loaded) == values_of(make_variables(7))


def test_the_same_kimg_again(tmp_path):
    for images in (7000, 7999):
        save_checkpoint(tmp_path, make_variables(images), Progress(images_seen=images))
    assert names(tmp_path) == ["checkpoint-000007.npz"]
    loaded = make_variables()
    assert load_newest(tmp_path, loaded)[0].images_seen == 7999
    assert values_of(loaded) == values_of(make_variables(7999))


def test_order_is_by_number(tmp_path):
    for kimg in (999_999, 1_000_000, 20):
        save(tmp_path, kimg)
    assert [path.stem[11:] for path in checkpoints(tmp_path)] == ["000020", "999999", "1000000"]
    assert load_newest(tmp_path, make_variables())[0].images_seen == 10**9


def test_what_is_no_checkpoint_is_left_alone(tmp_path):
    others = ["checkpoint-1.npz", "checkpoint-000001.npz.bak", "network-snapshot-000001", "config.json"]
    for name in others:
        (tmp_path / name).touch()
    with pytest.raises(FileNotFoundError, match=r"holds no checkpoint to resume from; start a new run"):
        load_newest(tmp_path, make_variables())
    for kimg in range(5):
        save(tmp_path, kimg, keep=1, hours=0)
    assert names(tmp_path) == sorted([*others, "checkpoint-000004.npz"])


# Which stay.


@pytest.mark.parametrize("keep", [1, 2, 3])
def test_the_newest_stay(tmp_path, keep):
    for kimg in range(6):
        save(tmp_path, kimg, keep=keep, hours=0)
        assert [int(path.stem[11:]) for path in checkpoints(tmp_path)] == list(range(6))[
            max(kimg + 1 - keep, 0) : kimg + 1
        ]


@pytest.mark.parametrize(
    "hours, kept",
    [
        (0, [10, 11]),
        (1, [0, 3, 6, 9, 10, 11]),
        # 40 minutes are the first multiple of 20 that is not less.
        (0.5, [0, 2, 4, 6, 8, 10, 11]),
        (100, [0, 10, 11]),
    ],
)
def test_one_an_hour_stays(tmp_path, hours, kept):
    """One every 20 minutes, each save by a process that knows nothing of the others."""
    for number in range(12):
        path = save(tmp_path, 40 * number, keep=2, hours=hours)
        os.utime(path, (1e9 + 1200 * number, 1e9 + 1200 * number))
    assert [int(path.stem[11:]) // 40 for path in checkpoints(tmp_path)] == kept


def test_a_damaged_one_takes_no_place(tmp_path):
    """A run that had to fall back saves what is older than the damaged checkpoint, which must not push that out."""
    for kimg in (1, 2, 9):
        save(tmp_path, kimg)
    (tmp_path / "checkpoint-000009.npz").write_bytes(b"")
    for kimg in (3, 4):
        save(tmp_path, kimg, keep=1, hours=0)
    assert names(tmp_path) == ["checkpoint-000004.npz", "checkpoint-000009.npz"]
    assert load_newest(tmp_path, make_variables())[0].images_seen == 4000


def test_what_a_killed_process_left_is_removed(tmp_path):
    for left_over in (".checkpoint-000003.0123abcd.partial.npz", ".checkpoint-000002.partial.npz"):
        (tmp_path / left_over).write_bytes(b"half of")  # the second one as earlier versions called it
    save(tmp_path, 4)
    assert names(tmp_path) == ["checkpoint-000004.npz"]


# Damage.


def test_every_changed_byte_is_found(tmp_path):
    """Or it is of no consequence, as a date is."""
    path = save(tmp_path, 7)
    whole = path.read_bytes()
    rng = random.Random(0)
    variables = make_variables()
    expected = values_of(make_variables(7))
    found = 0
    for position in rng.sample(range(len(whole)), 400):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ rng.randrange(1, 256)]) + whole[position + 1 :])
        for variable in variables.values():
            variable.assign(tf.zeros_like(variable))
        try:
            progress, _, _ = load_newest(tmp_path, variables)
        except ValueError as error:
            assert "holds no readable checkpoint" in str(error), position
            assert values_of(variables) == values_of(make_variables()), position
            found += 1
        else:
            assert progress == Progress(images_seen=7000, lod=2.5), position
            assert values_of(variables) == expected, position
    assert found > 200


def without_a_member(whole):
    """The file with a member that its directory hides in the comment of the member before."""
    second = whole.index(b"PK\1\2", whole.index(b"PK\1\2") + 1)
    length = whole.index(b"PK\1\2", second + 1) - second
    start = whole.index(b"PK\1\2") + 32
    return whole[:start] + length.to_bytes(2, "little") + whole[start + 2 :]


DAMAGE = {
    "empty": lambda whole: b"",
    "another format": lambda whole: b"no checkpoint",
    "no end": lambda whole: whole[:-1],
    "half": lambda whole: whole[: len(whole) // 2],
    "zeros at the end": lambda whole: whole[: len(whole) // 2] + bytes(len(whole) - len(whole) // 2),
    "without a member": without_a_member,
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_falls_back(tmp_path, kind):
    older, newest = save(tmp_path, 1), save(tmp_path, 2)
    newest.write_bytes(DAMAGE[kind](newest.read_bytes()))
    variables = make_variables()
    progress, path, [(damaged, reason)] = load_newest(tmp_path, variables)
    assert (progress.images_seen, path, damaged) == (1000, older, newest)
    assert reason and "\n" not in reason
    assert values_of(variables) == values_of(make_variables(1))
    assert names(tmp_path) == [older.name, newest.name]


def test_damage_by_damage_falls_back(tmp_path):
    paths = [save(tmp_path, kimg) for kimg in (1, 2, 3)]
    for path in paths[1:]:
        path.write_bytes(path.read_bytes()[:-9])
    progress, path, damaged = load_newest(tmp_path, make_variables())
    assert (progress.images_seen, path) == (1000, paths[0])
    assert [path for path, _ in damaged] == [paths[2], paths[1]]
    paths[0].write_bytes(b"")
    with pytest.raises(
        ValueError, match=r"no readable checkpoint \(checkpoint-000003.npz: .*-000002.npz: .*-000001.npz:"
    ):
        load_newest(tmp_path, make_variables())


def test_a_checkpoint_that_cannot_be_opened(tmp_path):
    save(tmp_path, 1)
    (tmp_path / "checkpoint-000002.npz").mkdir()  # opening it fails for every user, root as well
    progress, _, [(path, reason)] = load_newest(tmp_path, make_variables())
    assert (progress.images_seen, path.name) == (1000, "checkpoint-000002.npz")
    assert reason.startswith("IsADirectoryError")


@pytest.mark.parametrize(
    "other, words",
    [
        ({"G/b": tf.Variable([1.0])}, r"G/b is float32 \[1\], expected missing"),
        ({"G_optimizer/updates": None}, r"G_optimizer/updates is missing, expected int64 \[\]"),
        ({"G_optimizer/updates": tf.Variable(0)}, r"is int32 \[\], expected int64 \[\]"),
        ({"G/mapping/dense0/kernel": tf.Variable(tf.zeros([2, 3]))}, r"is float32 \[2, 3\], expected float32 \[3, 2\]"),
    ],
)
def test_another_configuration_is_an_error(tmp_path, other, words):
    """Not a reason to fall back: an older checkpoint that fits would hide the mistake."""
    save(tmp_path, 1)
    stored = {name: variable for name, variable in (make_variables(2) | other).items() if variable is not None}
    save_checkpoint(tmp_path, stored, Progress(images_seen=2000))
    variables = make_variables()
    with pytest.raises(ValueError, match=rf"checkpoint-000002.npz belongs to another configuration: .*{words}\."):
        load_newest(tmp_path, variables)
    assert values_of(variables) == values_of(make_variables())


def rewrite_progress(path, change):
    """Applies a function to the table in which a checkpoint keeps its progress."""
    with np.load(path) as archive:
        arrays = dict(archive)
    np.savez(path, **arrays | {"__progress__": json.dumps(change(json.loads(str(arrays["__progress__"]))))})


def test_checkpoint_of_another_version(tmp_path):
    path = save(tmp_path, 7)
    rewrite_progress(path, lambda values: {"images_seen": 7000, "lod": 2.5})  # an earlier one, without names
    variables = make_variables()
    assert load_newest(tmp_path, variables)[0] == Progress(images_seen=7000, lod=2.5)
    assert values_of(variables) == values_of(make_variables(7))
    rewrite_progress(path, lambda values: values | {"parsecs": 12})
    with pytest.raises(ValueError, match=r"000007.npz was written by a newer version .* counts parsecs; resume with"):
        load_newest(tmp_path, make_variables())


# A full disk, and kill -9: in processes of their own, with variables that need no TensorFlow to start quickly.

PREAMBLE = """
import itertools, pathlib, resource, sys
import numpy as np
from stylegan_tf.training.checkpoint import Progress, save_checkpoint

class Variable:
    def __init__(self, kimg):
        self.value = np.full(250_000, kimg, np.float32)

    def numpy(self):
        return self.value

def save(kimg, keep=3):
    variables = {f"G/{name}": Variable(kimg) for name in "abcd"}
    return save_checkpoint(pathlib.Path(sys.argv[1]), variables, Progress(images_seen=1000 * kimg), keep, hours=0)
"""


def start(script, *arguments):
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", PREAMBLE + script, *map(str, arguments)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def large_variables():
    return {f"G/{name}": tf.Variable(tf.zeros(250_000)) for name in "abcd"}


@pytest.mark.parametrize("megabytes", [0, 0.5, 1.5, 3.99])
def test_full_disk(tmp_path, megabytes):
    """At the beginning of 4 MB, within the arrays, and in the directory at the end; and then there is room again."""
    script = f"""
for kimg in range(4):
    save(kimg)
unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (int({megabytes} * 1e6), unlimited[1]))
for _ in range(2):
    try:
        save(4)
    except OSError as error:
        print(error.errno, *sorted(path.name for path in pathlib.Path(sys.argv[1]).iterdir()))
resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
save(5)
"""
    process = start(script, tmp_path)
    output, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")
    before = " ".join(f"checkpoint-00000{kimg}.npz" for kimg in (1, 2, 3))
    assert output == f"{errno.EFBIG} {before}\n" * 2
    assert [path.name[-5] for path in checkpoints(tmp_path)] == ["2", "3", "5"]
    for kimg in (5, 3, 2):
        variables = large_variables()
        progress, path, damaged = load_newest(tmp_path, variables)
        assert (progress.images_seen, damaged) == (1000 * kimg, [])
        assert all(np.all(variable.numpy() == kimg) for variable in variables.values())
        path.unlink()


def test_an_error_that_comes_late(tmp_path, monkeypatch):
    """Some file systems say only in the end that what they took does not fit."""
    save(tmp_path, 1)

    def fsync(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fsync)
        with pytest.raises(OSError, match=r"No space left"):
            save(tmp_path, 2, keep=1, hours=0)
    assert names(tmp_path) == ["checkpoint-000001.npz"]


def test_kill_9_while_saving(tmp_path):
    """Whatever the moment: what had been saved is there, the newest is whole, and the process started next goes on."""
    script = """
for kimg in itertools.count(int(sys.argv[2])):
    save(kimg)
    print(kimg, flush=True)
"""
    rng = random.Random(0)
    saved = torn = 0
    for _ in range(12):
        process = start(script, tmp_path, saved)
        assert process.stdout.readline() == f"{saved}\n"
        time.sleep(rng.uniform(0, 0.05))
        process.kill()
        reported = int([f"{saved}\n", *process.communicate()[0].splitlines()][-1])
        torn += any(path.name.startswith(".") for path in tmp_path.iterdir())
        newest = large_variables()
        progress, _, damaged = load_newest(tmp_path, newest)
        saved = progress.images_seen // 1000
        assert saved in (reported, reported + 1)  # killed before it could say so
        assert damaged == []
        assert all(np.all(variable.numpy() == saved) for variable in newest.values())
        for older in checkpoints(tmp_path)[:-1]:
            with np.load(older) as archive:
                assert np.all(archive["G|d"] == int(older.stem[11:]))
        assert len(checkpoints(tmp_path)) in {min(saved + 1, 3), min(saved + 1, 4)}
        saved += 1
    assert torn > 0


def test_a_snapshot_killed_between_its_renames(tmp_path, monkeypatch):
    """One of the two folders is always there, and the next snapshot tidies up."""

    def write(text):
        with atomic_folder(tmp_path / "snapshot") as folder:
            (folder / "G.keras").write_text(text)

    def rename(path, target):
        if path.name.endswith(".partial"):
            raise SystemExit
        os.rename(path, target)

    write("old")
    with monkeypatch.context() as patched, pytest.raises(SystemExit):
        patched.setattr(pathlib.Path, "rename", rename)
        write("new")
    (old,) = tmp_path.glob(".snapshot.*.old")
    assert (old / "G.keras").read_text() == "old"
    write("newest")
    assert names(tmp_path) == ["snapshot"]
    assert (tmp_path / "snapshot" / "G.keras").read_text() == "newest"


# Which run to go on with, and what may differ.

SAME = [f"{name}=2" for name in sorted(RESUMABLE - {"data_dir", "metrics", "xla"})] + [
    "data_dir=elsewhere",
    'metrics=["fid50k"]',
    "xla=true",
]


@pytest.fixture
def config():
    return override(make_config("f"), ["schedule.minibatch_dict={}", "resolution=64", "generator.blur_filter=[1,2,1]"])


def make_run(outdir, number, config, checkpoint=True):
    run_dir = outdir / f"{number:05d}-ffhq-f-cpu"
    run_dir.mkdir(parents=True)
    (run_dir / "config.json").write_text(json.dumps(to_dict(config)))
    if checkpoint:
        save(run_dir, 1)
    return run_dir


def test_config_of_a_run(tmp_path, config):
    assert load_run_config(make_run(tmp_path, 0, config)) == config
    (tmp_path / "00000-ffhq-f-cpu" / "config.json").write_text("{")
    with pytest.raises(ValueError, match=r"config.json is no readable configuration of a run"):
        load_run_config(tmp_path / "00000-ffhq-f-cpu")


@pytest.mark.parametrize("change", SAME)
def test_what_may_differ(tmp_path, config, change):
    run_dir = make_run(tmp_path, 0, config)
    resumed = resumed_config(run_dir, None, [change])
    assert resumed != config
    assert resumed == override(config, [change])
    assert find_same_run(tmp_path, resumed) == run_dir


@pytest.mark.parametrize(
    "change",
    ["seed=1", "precision=bf16", "loss.r1_gamma=5", "freeze_d=1", "schedule.minibatch_dict={}", "deterministic=true"],
)
def test_what_may_not_differ(tmp_path, config, change):
    run_dir = make_run(tmp_path, 0, override(config, ['schedule.minibatch_dict={"64": 8}']))
    with pytest.raises(ValueError, match=rf"was started with {change.split('=')[0]}.*; a resumed run keeps its conf"):
        resumed_config(run_dir, None, [change])
    assert find_same_run(tmp_path, override(load_run_config(run_dir), [change])) is None


def test_another_preset(tmp_path, config):
    run_dir = make_run(tmp_path, 0, config)
    assert resumed_config(run_dir, "f", []) == config
    with pytest.raises(ValueError, match=r"was started with config=f, not digits"):
        resumed_config(run_dir, "digits", [])


def test_the_newest_of_the_same_runs(tmp_path, config):
    assert find_same_run(tmp_path / "results", config) is None
    for number in (3, 10):
        make_run(tmp_path, number, config)
    make_run(tmp_path, 11, config, checkpoint=False)
    make_run(tmp_path, 12, override(config, ["seed=3"]))
    (make_run(tmp_path, 13, config) / "config.json").unlink()
    (make_run(tmp_path, 14, config) / "config.json").write_text('{"colour": 1}')
    (tmp_path / "00015-notes").mkdir()
    (tmp_path / "00016-file").touch()
    assert find_same_run(tmp_path, config).name == "00010-ffhq-f-cpu"


def test_what_the_data_set_decides(tmp_path, config):
    run_dir = make_run(tmp_path, 0, config)
    assert find_same_run(tmp_path, dataclasses.replace(config, resolution=None)) == run_dir
    assert find_same_run(tmp_path, dataclasses.replace(config, resolution=32)) is None
    # Elsewhere None is a value like any other.
    other = make_run(tmp_path / "other", 0, override(config, ["init_from=results/00001"]))
    assert find_same_run(tmp_path / "other", config) is None
    assert find_same_run(tmp_path / "other", load_run_config(other)) == other


def test_settings_of_python_and_of_json(tmp_path, config):
    """A preset's tuple comes back from JSON as a list."""
    run_dir = make_run(tmp_path, 0, config)
    assert find_same_run(tmp_path, dataclasses.replace(config, generator={"blur_filter": (1, 2, 1)})) == run_dir
