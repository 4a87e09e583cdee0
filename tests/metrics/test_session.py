"""A session: which networks fit which data, broken networks, what stays in the cache and what does not."""

import json
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf
from tiny_generators import Means, tiny_generator
from tiny_training import create_dataset

from datasets.tfrecords import MultiResolutionDataset
from metrics.evaluate import check_metrics
from metrics.features import fake_features, real_features
from metrics.frechet import real_statistics
from metrics.metric import Metric, Result
from metrics.options import Options
from metrics.session import Session
from stylegan_tf.files.identity import network_hash
from stylegan_tf.runtime.replicas import count_gpus_of, distributed


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    create_dataset(folder)
    return MultiResolutionDataset(folder / "tiny")


@pytest.fixture(scope="module")
def generator():
    return tiny_generator()


def options(tmp_path, **values):
    return Options(cache_dir=str(tmp_path / "cache"), **values)


def test_each_device_gets_its_part():
    strategy = tf.distribute.MirroredStrategy(["/cpu:0"])
    run = distributed(strategy, lambda x, y: x[:, None] + tf.cast(y, tf.float32))
    x, y = np.arange(4, dtype=np.float32), np.ones((4, 2), np.int32)
    np.testing.assert_array_equal(run(x, y), x[:, None] + y)


def test_a_function_is_traced_once_for_any_number_and_once_for_one_if_that_comes_first():
    strategy = tf.distribute.MirroredStrategy(["/cpu:0"])
    for counts, expected in (([4, 1, 3], [None]), ([1, 4, 1, 2], [1, None])):
        sizes = []
        run = distributed(strategy, lambda x, sizes=sizes: sizes.append(x.shape[0]) or 2 * x)
        for count in counts:
            x = np.arange(count, dtype=np.float32)
            np.testing.assert_array_equal(run(x), 2 * x)
        assert sizes == expected


def test_gpus_of_a_generator(generator):
    """0 on the CPU, also without a strategy that tells its devices: of several hosts, only the first measures."""
    with tf.distribute.MirroredStrategy(["/cpu:0"]).scope():
        mirrored = tiny_generator()
    assert count_gpus_of(generator) == count_gpus_of(mirrored) == 0
    on_gpu = SimpleNamespace(device="/job:worker/replica:0/task:0/device:GPU:0")
    assert count_gpus_of(SimpleNamespace(variables=[SimpleNamespace(value=on_gpu)])) == 1


def test_features_of_fakes_do_not_depend_on_the_minibatch(tmp_path, generator):
    tables = []
    for minibatch in (1, 5, 16):
        with Session(generator, None, options(tmp_path / str(minibatch), minibatch=minibatch)) as session:
            tables.append(fake_features(session, Means(), 12)[:])
    assert tables[0].shape == (12, 3) and np.ptp(tables[0], axis=0).min() > 1
    for table in tables[1:]:
        # A pixel that rounding has moved by one.
        np.testing.assert_allclose(table, tables[0], atol=0.1)


def test_the_seed_counts(tmp_path, generator):
    tables = []
    for seed in (0, 1):
        with Session(generator, None, options(tmp_path, seed=seed)) as session:
            tables.append(fake_features(session, Means(), 4)[:])
    assert np.abs(tables[0] - tables[1]).max() > 1


def test_truncation_and_mixing_make_other_features(tmp_path, generator):
    with Session(generator, None, options(tmp_path)) as session:
        plain, mixed = (fake_features(session, Means(), 8, latents)[:] for latents in (1, 3))
    with Session(generator, None, options(tmp_path, truncation_psi=0.0)) as session:
        mean = fake_features(session, Means(), 8)[:]
    assert np.abs(plain - mixed).max() > 1 and np.abs(plain - mean).max() > 1
    # Only the noise is left of what makes images differ.
    assert np.ptp(mean, axis=0).max() < np.ptp(plain, axis=0).max()


def test_more_latents_than_styles(tmp_path):
    small = tiny_generator(resolution=4)
    with (
        pytest.raises(ValueError, match="has 2 styles, and 3 latents"),
        Session(small, None, options(tmp_path)) as session,
    ):
        fake_features(session, Means(), 8, latents=3)


def test_real_features(tmp_path, generator, dataset):
    images = dataset.read_images(8, range(50)).astype(np.float32).mean(axis=(1, 2))
    with Session(generator, dataset, options(tmp_path, minibatch=8)) as session:
        table = real_features(session, Means(), 50)[:]
        np.testing.assert_allclose(real_features(session, Means(), 20)[:], table[:20])
    # Each image once, in another order than that of the file, which may be sorted by class.
    np.testing.assert_allclose(np.sort(table, axis=0), np.sort(images, axis=0), rtol=1e-5)
    assert np.abs(table - images).max() > 1


def test_half_of_the_real_images_are_mirrored(tmp_path, generator, dataset):
    left = Means(columns=slice(0, 4))
    tables = []
    for mirror in (False, True):
        with Session(generator, dataset, options(tmp_path, mirror=mirror)) as session:
            tables.append(real_features(session, left, 50)[:])
    changed = np.abs(tables[0] - tables[1]).max(axis=1) > 1e-3
    assert 15 < changed.sum() < 35
    with Session(generator, dataset, options(tmp_path / "other", mirror=False)) as session:
        right = real_features(session, Means(columns=slice(4, 8)), 50)[:]
    np.testing.assert_allclose(tables[1][changed], right[changed], rtol=1e-5)


def test_a_mirrored_data_set_counts_twice(tmp_path, generator, dataset):
    sides = [Means(columns=slice(0, 4)), Means(columns=slice(4, 8))]
    with Session(generator, dataset, options(tmp_path, mirror=True)) as session:
        left, right = (real_features(session, side, 100)[:] for side in sides)
        with pytest.raises(ValueError, match=r"holds 50 images and their mirror images, and 101 .*--num-samples=50"):
            real_features(session, sides[0], 101)
    # Each image comes once as it is and once mirrored: what was on its left is on its right then.
    np.testing.assert_allclose(np.sort(left, axis=0), np.sort(right, axis=0), rtol=1e-5)
    for start in (0, 50):
        assert len(np.unique(np.round(left[start:][:50] + right[start:][:50], 2), axis=0)) == 50


def test_what_is_real_is_computed_once(tmp_path, generator, dataset):
    first = Means()
    with Session(generator, dataset, options(tmp_path)) as session:
        expected = real_statistics(session, first, 50)
    calls = first.traced
    other = tiny_generator(seed=5)
    with Session(other, dataset, options(tmp_path, seed=3)) as session:
        again = Means()
        for actual, value in zip(real_statistics(session, again, 50), expected, strict=True):
            np.testing.assert_array_equal(actual, value)
    assert calls and not again.traced


def test_networks_are_opened_once_a_run(tmp_path, generator, dataset):
    """By the check before a run; all metrics of all snapshots look with the same ones then."""
    opened, given, shared = [], options(tmp_path), {}

    def open_means(session):
        opened.append(Means())
        return opened[-1]

    def measure(session, network, count):
        return Result({"mean": float(np.mean(fake_features(session, network, count)[:]))})

    first, second = (Metric(name, open_means, measure, usual=8, reals=False) for name in ("first", "second"))
    check_metrics([first, second], generator, dataset, given, shared)
    results = [
        metric(network, dataset, options=given, opened=shared)["mean"]
        for network in (generator, tiny_generator(seed=5))
        for metric in (first, second)
    ]
    assert len(opened) == 1
    assert results[0] == results[1] != results[2] == results[3]
    first(generator, dataset, options=given)
    assert len(opened) == 2, "a metric on its own opens what it needs"


def test_damaged_statistics_are_named(tmp_path, generator, dataset):
    with Session(generator, dataset, options(tmp_path)) as session:
        real_statistics(session, Means(), 50)
        (path,) = (tmp_path / "cache" / "reals").glob("*.npz")
        path.write_bytes(path.read_bytes()[:100])
        with pytest.raises(ValueError, match=r"\.npz is damaged; delete it"):
            real_statistics(session, Means(), 50)


def test_too_few_real_images(tmp_path, generator, dataset):
    with (
        pytest.raises(ValueError, match=r"holds 50 images, and 51 .*--num-samples=50"),
        Session(generator, dataset, options(tmp_path)) as session,
    ):
        real_features(session, Means(), 51)


def test_rows_of_an_interrupted_evaluation_stay(tmp_path, generator):
    with pytest.raises(KeyboardInterrupt), Session(generator, None, options(tmp_path)) as session:
        fake_features(session, Means(), 8)
        raise KeyboardInterrupt
    assert list((tmp_path / "cache" / "unfinished").glob("*/*.f32"))
    with Session(generator, None, options(tmp_path)) as session:
        again = Means()
        fake_features(session, again, 8)
        assert not again.traced
    assert not list((tmp_path / "cache" / "unfinished").iterdir())


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_pixels_that_are_not_finite(tmp_path, value):
    broken = tiny_generator()
    broken.synthesis.to_rgb[-1].bias.assign([value, 0, 0])
    with (
        pytest.raises(ValueError, match="sample 0 has pixels that are not finite"),
        Session(broken, None, options(tmp_path)) as session,
    ):
        fake_features(session, Means(), 8)
    assert all(path.stat().st_size == 0 for path in tmp_path.rglob("*.f32"))


def test_images_of_one_colour(tmp_path):
    broken = tiny_generator()
    broken.synthesis.to_rgb[-1].bias.assign([1e6, -1e6, 1e6])
    with (
        pytest.raises(ValueError, match="samples 0 to 3 are of one colour each"),
        Session(broken, None, options(tmp_path, minibatch=4)) as session,
    ):
        fake_features(session, Means(), 8)


def test_data_of_another_resolution(tmp_path, dataset):
    with pytest.raises(ValueError, match=r"makes images of 16x16, and .* holds 8x8"):
        Session(tiny_generator(resolution=16), dataset, options(tmp_path))


def test_data_of_other_channels(tmp_path, dataset):
    with pytest.raises(ValueError, match=r"images of 1 channels, and those of .* have 3"):
        Session(tiny_generator(num_channels=1), dataset, options(tmp_path))


def test_labels_that_are_missing(tmp_path, dataset):
    conditional = tiny_generator(label_size=3)
    with pytest.raises(ValueError, match=r"labels of 3 numbers, and .* has 0"):
        Session(conditional, dataset, options(tmp_path))
    with pytest.raises(ValueError, match="--dataset"):
        Session(conditional, None, options(tmp_path))


def test_a_conditional_network(tmp_path, dataset):
    labelled = MultiResolutionDataset(dataset.folder, max_label_size="full")
    with Session(tiny_generator(label_size=3), labelled, options(tmp_path)) as session:
        assert np.isfinite(fake_features(session, Means(), 8)[:]).all()


def test_the_hash_is_that_of_the_network_not_of_its_file(tmp_path, generator):
    generator.save(tmp_path / "a.keras")
    loaded = keras.saving.load_model(tmp_path / "a.keras")
    assert network_hash(generator) == network_hash(loaded)
    loaded.growth = (8, 0.5)
    assert network_hash(generator) != network_hash(loaded)
    loaded.growth = None
    loaded.synthesis.to_rgb[0].bias.assign_add([0.5, 0, 0])
    assert network_hash(generator) != network_hash(loaded)
    assert json.dumps(network_hash(generator))
