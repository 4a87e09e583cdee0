"""Starting from trained networks: what is copied, what is not, and that both are said; layers that are not trained."""

import json
import re
import shutil
import types
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from stylegan_tf.files.official import load_pickle
from stylegan_tf.networks import Discriminator, Generator, ProGANDiscriminator, ProGANGenerator
from stylegan_tf.training.initialize import freeze_layers, initial_resolution, initialize

PICKLE = Path(__file__).parent / "reference/data/networks-stylegan1.pkl"
SIZES = {"fmap_base": 64, "fmap_max": 8}
GENERATOR = {"latent_size": 8, "dlatent_size": 8, "mapping_layers": 2, "mapping_fmaps": 8}


def make_models(resolution=8, seed=0, label_size=0, num_channels=1, **settings):
    """G, D and Gs in a strategy's scope, with every variable, also those that begin at 0, at random."""
    data = {"resolution": resolution, "num_channels": num_channels, "label_size": label_size}
    random = np.random.default_rng(seed)
    with tf.distribute.MirroredStrategy(["/cpu:0"]).scope():
        models = types.SimpleNamespace(
            G=Generator(**data, **SIZES | GENERATOR | settings, name="G"),
            D=Discriminator(**data, **SIZES, name="D"),
            Gs=Generator(**data, **SIZES | GENERATOR | settings, name="Gs"),
        )
    for network in networks(models):
        for variable in network.variables:
            variable.assign(random.standard_normal(variable.shape))
    return models


def networks(models):
    return models.G, models.D, models.Gs


def values(network):
    """{path without the network's name: array}."""
    return {variable.path.split("/", 1)[1]: variable.numpy() for variable in network.variables}


def save(models, folder, resolution=8):
    folder.mkdir(parents=True)
    for network in networks(models):
        network.save(folder / f"{network.name}.keras")
    state = {"images_seen": 10000, "resolution": resolution, "fade": 1.0, "config": {}}
    (folder / "training.json").write_text(json.dumps(state))
    return folder


@pytest.fixture(scope="module")
def source():
    """A trained run's networks, at 16x16."""
    return make_models(16, seed=1)


@pytest.fixture(scope="module")
def snapshot(source, tmp_path_factory):
    return save(source, tmp_path_factory.mktemp("run") / "network-snapshot-000010", resolution=16)


def copied_and_kept(models, source, snapshot):
    """Initializes `models`; checks that each variable is the source's or its own of before, and returns both kinds.

    Returns:
        (lines, {network: paths that were copied}, {network: paths that were kept}).
    """
    before = {network.name: values(network) for network in networks(models)}
    lines = initialize(models, snapshot)
    copied, kept = {}, {}
    for network, theirs in zip(networks(models), networks(source), strict=True):
        arrays, name = values(theirs), network.name
        copied[name], kept[name] = set(), set()
        for path, array in values(network).items():
            is_source = np.array_equal(array, arrays.get(path))
            np.testing.assert_array_equal(array, arrays[path] if is_source else before[name][path])
            (copied if is_source else kept)[name].add(path)
    return lines, copied, kept


def text_of(lines, name):
    """What the lines say of one network."""
    start = next(i for i, line in enumerate(lines) if line.startswith(f"{name}:"))
    end = next((i for i in range(start + 1, len(lines)) if not lines[i].startswith(" ")), len(lines))
    return "\n".join(lines[start:end])


def test_the_same_networks_are_copied_whole(source, snapshot):
    models = make_models(16)
    lines, _, kept = copied_and_kept(models, source, snapshot)
    assert not any(kept.values())
    assert lines[0] == f"Starting from {snapshot}." and len(lines) == 4
    variables, parameters = len(source.D.variables), source.D.count_params()
    assert lines[2] == (f"D: copied {variables} of {variables} variables, {parameters:,} of {parameters:,} parameters.")
    # What is not trained as well: the average of w and the stored noise images.
    np.testing.assert_array_equal(models.Gs.w_average.numpy(), source.Gs.w_average.numpy())
    np.testing.assert_array_equal(
        models.Gs.synthesis.noise_images[5].numpy(), source.Gs.synthesis.noise_images[5].numpy()
    )


@pytest.mark.parametrize("resolution", [8, 32])
def test_another_resolution(resolution, source, snapshot):
    models = make_models(resolution)
    lines, _, kept = copied_and_kept(models, source, snapshot)
    new = {8: "", 32: "32x32"}[resolution]
    for name in ("G", "Gs"):
        noise = {"synthesis/noise6", "synthesis/noise7"} if new else set()
        assert kept[name] == {path for path in values(getattr(models, name)) if new and new in path} | noise
    assert kept["D"] == {path for path in values(models.D) if new and new in path}
    if new:
        text = text_of(lines, "G")
        assert "not in the source: noise images (2 variables), 32x32 (12 variables)" in text
        assert "not used" not in text and "other shape" not in text
        assert "not in the source: 32x32 (6 variables)" in text_of(lines, "D")
    else:
        assert "not used of the source: noise images (2 variables), 16x16 (12 variables)" in text_of(lines, "Gs")
        assert "not used of the source: 16x16 (6 variables)" in text_of(lines, "D")
    # The same functions, at the smaller of the two resolutions.
    side = min(resolution, 16)
    z = keras.random.normal((4, 8), seed=3)
    for name in ("G", "Gs"):
        ours, theirs = (getattr(m, name)(z, resolution=side, fade=1.0).numpy() for m in (models, source))
        assert np.std(theirs) > 0.1
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)
    images = keras.random.normal((4, side, side, 1), seed=4)
    np.testing.assert_allclose(models.D(images).numpy(), source.D(images).numpy(), rtol=1e-5, atol=1e-5)


def test_labels_added(source, snapshot):
    models = make_models(16, label_size=3)
    lines, copied, kept = copied_and_kept(models, source, snapshot)
    assert kept["G"] == kept["Gs"] == {"mapping/embedding/embedding", "mapping/dense0/kernel"}
    assert kept["D"] == {"4x4_output/kernel", "4x4_output/bias"}
    assert "mapping/dense0/bias" in copied["Gs"]
    assert "not in the source: mapping/embedding/embedding" in text_of(lines, "G")
    assert "other shape in the source: mapping/dense0/kernel (8, 8) instead of (16, 8)" in text_of(lines, "G")
    text = text_of(lines, "D")
    assert "4x4 (2 variables, the first 4x4_output/kernel (8, 1) instead of (8, 3))" in text
    total = len(models.D.variables)
    assert f"D: copied {total - 2} of {total} variables" in text


def test_colour_added(source, snapshot):
    _, _, kept = copied_and_kept(make_models(16, num_channels=3), source, snapshot)
    sides = (4, 8, 16)
    rgb = {f"synthesis/{side}x{side}_to_rgb/{name}" for side in sides for name in ("kernel", "bias")}
    assert kept["G"] == kept["Gs"] == rgb
    assert kept["D"] == {f"{side}x{side}_from_rgb/kernel" for side in sides}


def test_other_feature_maps(source, snapshot):
    models = make_models(16, fmap_max=4)
    lines, copied, kept = copied_and_kept(models, source, snapshot)
    assert not kept["D"]
    own = values(models.G)
    # At 16x16 there are 8 feature maps either way; what comes from 8x8 has another shape.
    assert kept["G"] == {path for path in own if own[path].shape != values(source.G)[path].shape}
    assert "mapping/dense1/kernel" in copied["G"] and "synthesis/8x8_second/conv/kernel" in kept["G"]
    assert "the first synthesis/4x4_first/constant/constant (1, 4, 4, 8) instead of (1, 4, 4, 4)" in text_of(lines, "G")
    parameters = sum(own[path].size for path in copied["G"])
    assert f"{parameters:,} of {models.G.count_params():,} parameters" in text_of(lines, "G")


def test_nothing_that_fits(snapshot):
    models = make_models(4, num_channels=3)
    # Labels, as the bias of a single output would fit.
    models.D = Discriminator(4, 3, label_size=2, fmap_base=16, fmap_max=2, name="D")
    for name in ("G", "Gs"):
        small = {"fmap_max": 2, "latent_size": 4, "dlatent_size": 4, "mapping_fmaps": 4, "use_noise": False}
        setattr(models, name, Generator(4, 3, fmap_base=16, mapping_layers=1, **small, name=name))
    with pytest.raises(ValueError, match=r"^No variable of .* has the shape"):
        initialize(models, snapshot)


@pytest.mark.parametrize("setting", [{"mapping_lrmul": 1.0}, {"use_wscale": False}, {"fused_scale": True}])
def test_weights_that_mean_something_else(setting, source, snapshot):
    models = make_models(16, **setting)
    before = values(models.G)
    name = next(iter(setting))
    with pytest.raises(ValueError, match=rf"{name}.* set generator\.{name}"):
        initialize(models, snapshot)
    assert all(np.array_equal(array, before[path]) for path, array in values(models.G).items())


def test_another_class_of_networks(snapshot):
    models = make_models()
    models.G = ProGANGenerator(8, 1, latent_size=8, **SIZES, name="G")
    with pytest.raises(
        ValueError, match=r"^G of .*network-snapshot-000010 is a Generator, and this run trains a ProGANGenerator; "
    ):
        initialize(models, snapshot)


@pytest.fixture(scope="module")
def from_pickle():
    """Models that a pickle of the original's fits, and the networks in it."""
    G, D, Gs = load_pickle(PICKLE)
    with tf.distribute.MirroredStrategy(["/cpu:0"]).scope():
        models = types.SimpleNamespace(
            **{
                name: type(network).from_config(network.get_config())
                for name, network in (("G", G), ("D", D), ("Gs", Gs))
            }
        )
    return models, (G, D, Gs)


def test_a_pickle(from_pickle):
    models, expected = from_pickle
    lines = initialize(models, PICKLE)
    assert lines[0] == f"Starting from {PICKLE}."
    assert re.match(r"G: copied (\d+) of \1 variables", lines[1]) and len(lines) == 4
    for network, other in zip(networks(models), expected, strict=True):
        assert all(np.array_equal(array, values(other)[path]) for path, array in values(network).items())
    assert initial_resolution(PICKLE) == 32


def test_a_published_network(from_pickle, monkeypatch):
    monkeypatch.setattr("stylegan_tf.files.find.obtain_network", lambda source, cache_dir: PICKLE)
    assert initialize(from_pickle[0], "cats-256")[0] == f"Starting from {PICKLE}."
    assert initial_resolution("https://example.org/cats.pkl") == 32


def test_a_pickle_of_one_network(tmp_path, monkeypatch):
    monkeypatch.setattr("stylegan_tf.files.find.open_pickle", lambda path: (make_models().G,))
    (tmp_path / "G.pkl").touch()
    with pytest.raises(ValueError, match=r"G\.pkl holds 1 network, not G, D and Gs; give another"):
        initialize(make_models(), tmp_path / "G.pkl")


def test_a_damaged_file_changes_nothing(source, tmp_path):
    folder = save(source, tmp_path / "network-snapshot-000001")
    models = make_models(16)
    before = values(models.G)
    data = bytearray((folder / "Gs.keras").read_bytes())
    data[len(data) // 2] ^= 1
    for damaged in (data, data[:1000], b""):
        (folder / "Gs.keras").write_bytes(damaged)
        with pytest.raises(ValueError, match=r"Gs\.keras is damaged"):
            initialize(models, folder)
        assert all(np.array_equal(array, before[path]) for path, array in values(models.G).items())


def test_what_is_named(source, snapshot, tmp_path):
    for named in (snapshot, str(snapshot.parent), snapshot / "Gs.keras"):
        assert initialize(make_models(16), named)[0] == f"Starting from {snapshot}."
    (tmp_path / "run").mkdir()
    shutil.copytree(snapshot, tmp_path / "run" / "network-snapshot-000900")
    (tmp_path / "run" / "network-snapshot-000900" / "D.keras").unlink()
    with pytest.raises(ValueError, match=r"network-snapshot-000900 is incomplete, without D\.keras;"):
        initialize(make_models(), tmp_path / "run")
    with pytest.raises(ValueError, match=r"missing does not exist; give a run"):
        initialize(make_models(), tmp_path / "missing")


def test_initial_resolution(snapshot, tmp_path):
    assert initial_resolution(snapshot) == initial_resolution(snapshot.parent) == 16
    shutil.copytree(snapshot, tmp_path / "growing")
    Gs = keras.saving.load_model(snapshot / "Gs.keras")
    Gs.growth = (8, 0.25)
    Gs.save(tmp_path / "growing" / "Gs.keras")
    assert initial_resolution(tmp_path / "growing") == 8


def trainable_layers(discriminator):
    return {variable.path.split("/")[1] for variable in discriminator.trainable_variables}


@pytest.mark.parametrize("network", [Discriminator, ProGANDiscriminator])
def test_freeze_layers(network):
    order = [
        ["16x16_from_rgb"],
        ["16x16_first"],
        ["16x16_second"],
        ["8x8_first", "8x8_from_rgb"],
        ["8x8_second"],
        ["4x4_conv", "4x4_from_rgb"],
        ["4x4_dense"],
        ["4x4_output"],
    ]
    for count in range(len(order)):
        discriminator = network(resolution=16, **SIZES)
        freeze_layers(discriminator, count)
        assert trainable_layers(discriminator) == {name for layers in order[count:] for name in layers}
        assert len(discriminator.trainable_variables) == 2 * sum(map(len, order[count:]))
        assert len(discriminator.variables) == 20
    discriminator = network(resolution=16, **SIZES)
    with pytest.raises(ValueError, match=r"8 layers, one at least must be trained; 8 are too many"):
        freeze_layers(discriminator, 8)
    assert len(discriminator.trainable_variables) == 20


def test_freeze_layers_without_blocks():
    discriminator = Discriminator(resolution=4, **SIZES)
    freeze_layers(discriminator, 2)
    assert trainable_layers(discriminator) == {"4x4_dense", "4x4_output"}
