"""What a run is expected to write is what it writes, and old snapshots are removed."""

import dataclasses

import numpy as np
import pytest

from stylegan_tf.recipes.presets import make_config
from stylegan_tf.recipes.settings import ScheduleConfig, TrainingConfig
from stylegan_tf.training.disk import DiskUse, count_ticks, disk_use, remove_old_snapshots, snapshots_to_keep
from stylegan_tf.training.models import Models

SMALL = {"fmap_base": 64, "fmap_max": 8}
CONFIG = TrainingConfig(
    resolution=16,
    total_kimg=1,
    generator={**SMALL, "latent_size": 8, "dlatent_size": 8, "mapping_layers": 2},
    discriminator=SMALL,
)


@pytest.mark.parametrize("label_size", [0, 3])
def test_bytes_are_those_of_the_files(tmp_path, label_size):
    models = Models(CONFIG, 1, label_size)
    for network in (models.G, models.D, models.Gs):
        network.save(tmp_path / f"{network.name}.keras")
    written = sum(path.stat().st_size for path in tmp_path.iterdir())
    use = disk_use(CONFIG, 1, label_size)
    # Names and structure take 2 to 3 kB a variable.
    variables = sum(len(network.variables) for network in (models.G, models.D, models.Gs))
    assert use.snapshot_bytes < written < use.snapshot_bytes + 4000 * variables
    arrays = [variable.numpy() for variable in models.variables().values()]
    scalars = sum(array.nbytes for array in arrays if array.dtype == np.int64)
    assert use.checkpoint_bytes == sum(array.nbytes for array in arrays) - scalars


@pytest.mark.parametrize("minibatch", [8, 12, 100])
def test_ticks_are_counted_as_the_trainer_counts_them(minibatch):
    schedule = ScheduleConfig(
        lod_training_kimg=3,
        lod_transition_kimg=2,
        minibatch_base=minibatch,
        tick_kimg_base=0.5,
        tick_kimg_dict={16: 0.7},
    )
    config = TrainingConfig(resolution=32, total_kimg=20, schedule=schedule, minibatch_repeats=1)
    ticks = tick_images = images_seen = 0
    while images_seen < 20_000:
        phase = config.phase(images_seen)
        images_seen += phase.minibatch
        if images_seen >= tick_images + phase.tick_kimg * 1000 or images_seen >= 20_000:
            ticks, tick_images = ticks + 1, images_seen
    assert abs(count_ticks(config) - ticks) <= 2  # one for each change of the tick's length


def test_small_runs_keep_everything():
    assert snapshots_to_keep(None, 10e9) == 0
    assert snapshots_to_keep(None, 10.1e9) == 10
    assert snapshots_to_keep(7, 1) == snapshots_to_keep(7, 1e12) == 7
    assert snapshots_to_keep(0, 1e12) == 0
    assert disk_use(make_config("f", "digits")).keep == 0
    assert disk_use(make_config("f", "ffhq")).keep == 10


def test_what_is_said():
    use = DiskUse(107, 10, 324_000_000, 719_000_000, 3, 1)
    assert use.total_bytes == 10 * 324_000_000 + 3 * 719_000_000
    assert str(use) == (
        "107 snapshots of 324.0 MB, of which the newest 10 stay, and 3 checkpoints of 719.0 MB, and one more every "
        "hour: about 5.4 GB"
    )
    assert str(use._replace(keep=0, checkpoint_hours=0)) == (
        "107 snapshots of 324.0 MB, and 3 checkpoints of 719.0 MB: about 36.8 GB"
    )


@pytest.mark.parametrize(
    "keep, left", [(0, [0, 5, 10, 15, 1000]), (1, [15, 1000]), (2, [10, 15, 1000]), (9, [0, 5, 10, 15, 1000])]
)
def test_old_snapshots_are_removed(tmp_path, keep, left):
    for kimg in (0, 5, 10, 15, 1000):
        folder = tmp_path / f"network-snapshot-{kimg:06d}"
        folder.mkdir()
        (folder / "G.keras").write_text("weights")
    for other in ("best", "network-snapshot-000001.bak"):
        (tmp_path / other).mkdir()
    # One beyond it belongs to a part of the run that is gone: it is not counted, nor removed.
    remove_old_snapshots(tmp_path, tmp_path / "network-snapshot-000015", keep)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == sorted(["best", "network-snapshot-000001.bak", *(f"network-snapshot-{kimg:06d}" for kimg in left)])


def test_unknown_resolution():
    assert disk_use(make_config("f", "cats")) is None
    assert disk_use(dataclasses.replace(make_config("f", "cats"), resolution=64)).snapshots > 0
