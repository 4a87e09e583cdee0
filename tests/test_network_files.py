"""The networks that a path names, and what the files beside them tell."""

import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from tiny_generators import SIZES, tiny_generator

from stylegan_tf.export.model_card import licence
from stylegan_tf.files import find
from stylegan_tf.files.find import find_targets, load_generator, load_trained
from stylegan_tf.files.official import load_pickle
from stylegan_tf.networks import MappingNetwork
from stylegan_tf.recipes.settings import TrainingConfig, to_dict

PICKLE = Path(__file__).parent / "reference/data/networks-stylegan1.pkl"

CONFIG = TrainingConfig(dataset="tiny", generator=SIZES)


def save_snapshot(folder, **changes):
    """A snapshot without networks in it."""
    folder.mkdir(parents=True)
    (folder / "Gs.keras").touch()
    state = {"images_seen": 1234, "resolution": 16, "fade": 0.25, "config": to_dict(CONFIG), **changes}
    (folder / "training.json").write_text(json.dumps(state))


@pytest.fixture
def run(tmp_path):
    """A run of more than a million kimg, whose snapshots are not in the order of their names."""
    for kimg in (999999, 1000000, 5):
        save_snapshot(tmp_path / "run" / f"network-snapshot-{kimg:06d}", images_seen=kimg * 1000)
    (tmp_path / "run" / "config.json").touch()
    (tmp_path / "run" / ".network-snapshot-2000000.partial").mkdir()
    return tmp_path / "run"


def test_the_newest_snapshot_of_a_run(run):
    (target,) = find_targets(str(run))
    assert target.path == run / "network-snapshot-1000000" / "Gs.keras"
    assert (target.home, target.config, target.kimg) == (run, CONFIG, 1000000)
    assert target.name == "network-snapshot-1000000"


def test_all_snapshots_of_a_run(run):
    assert [target.kimg for target in find_targets(run, all_snapshots=True)] == [5, 999999, 1000000]


@pytest.mark.parametrize("name", ["", "Gs.keras"])
def test_a_snapshot(run, name):
    snapshot = run / "network-snapshot-000005"
    (target,) = find_targets(snapshot / name, all_snapshots=True)
    assert (target.path, target.home, target.kimg) == (snapshot / "Gs.keras", run, 5)


def test_a_snapshot_outside_of_its_run(tmp_path):
    save_snapshot(tmp_path / "elsewhere" / "network-snapshot-000001")
    (target,) = find_targets(tmp_path / "elsewhere" / "network-snapshot-000001")
    assert (target.home, target.config) == (target.path.parent, CONFIG)


def test_a_file_of_which_nothing_is_known(tmp_path):
    (tmp_path / "faces.keras").touch()
    (target,) = find_targets(tmp_path / "faces.keras")
    assert target == (tmp_path / "faces.keras", tmp_path, None, None)
    assert target.name == "faces.keras"


def test_nothing_to_measure(run, tmp_path):
    with pytest.raises(ValueError, match=r"nowhere does not exist; give a run, a snapshot, .*\(ffhq-1024, "):
        find_targets(tmp_path / "nowhere", all_snapshots=True)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"There is no .*/empty/Gs\.keras"):
        find_targets(tmp_path / "empty")


def test_older_snapshots_that_are_damaged_are_passed_over(run, capsys):
    (run / "network-snapshot-000005" / "training.json").write_text("{")
    (run / "network-snapshot-999999" / "Gs.keras").unlink()
    assert [target.kimg for target in find_targets(run, all_snapshots=True)] == [1000000]
    damaged, missing = capsys.readouterr().err.splitlines()
    assert "Passed over: " in damaged and "network-snapshot-000005/training.json is damaged" in damaged
    assert "Passed over: There is no " in missing and "network-snapshot-999999/Gs.keras" in missing
    assert find_targets(run) and not capsys.readouterr().err
    (run / "network-snapshot-1000000" / "Gs.keras").unlink()
    with pytest.raises(ValueError, match=r"There is no .*/network-snapshot-1000000/Gs\.keras"):
        find_targets(run, all_snapshots=True)


@pytest.mark.parametrize(
    "changes",
    [
        {"images_seen": "many"},
        {"config": {"colour": 1}},
        {"config": {"seed": "x"}},
        {"config": None},
    ],
)
def test_damaged_facts(tmp_path, changes):
    save_snapshot(tmp_path / "snapshot", **changes)
    with pytest.raises(ValueError, match=r"snapshot/training\.json is damaged \(.+\); copy it again") as error:
        find_targets(tmp_path / "snapshot")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", "\xff"])
def test_no_facts(tmp_path, text):
    save_snapshot(tmp_path / "snapshot")
    (tmp_path / "snapshot" / "training.json").write_text(text, encoding="latin-1")
    with pytest.raises(ValueError, match=r"training\.json is damaged"):
        find_targets(tmp_path / "snapshot")


def test_a_pickle(tmp_path):
    """Gs of the three networks, whatever lies beside the file."""
    shutil.copy(PICKLE, tmp_path / "networks.pkl")
    (tmp_path / "training.json").write_text("{")
    (target,) = find_targets(str(tmp_path / "networks.pkl"))
    assert target == (tmp_path / "networks.pkl", tmp_path, None, None)
    Gs = load_generator(target.path)
    expected = load_pickle(PICKLE)[2]
    for ours, theirs in zip(Gs.variables, expected.variables, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert load_generator(target.path, "mixed_bfloat16").dtype_policy.name == "mixed_bfloat16"


def test_a_keras_file_knows_its_growth(tmp_path):
    path = tmp_path / "copy.keras"
    generator = tiny_generator(resolution=16)
    for growth in (None, (16, 0.25), (8, 1.0)):
        generator.growth = growth
        generator.save(path)
        assert load_generator(path).growth == load_generator(path, "mixed_bfloat16").growth == growth


def note_growth(path, content):
    """As version 0.1 did: in a member of the file that Keras does not look at."""
    tiny_generator(resolution=16).save(path)
    with zipfile.ZipFile(path, "a") as file:
        file.writestr("growth.json", content)


def test_growth_in_files_of_version_0_1(tmp_path):
    note_growth(tmp_path / "old.keras", '{"resolution": 16, "fade": 0.25}')
    assert load_generator(tmp_path / "old.keras").growth == (16, 0.25)
    note_growth(tmp_path / "old.keras", '{"resolution": 16, "fade": 1.0}')
    assert load_generator(tmp_path / "old.keras").growth is None


@pytest.mark.parametrize("content", ["torn {", "[]", '{"resolution": 8}', '{"resolution": "x", "fade": 1}'])
def test_a_damaged_note_of_growth(tmp_path, content):
    path = tmp_path / "copy.keras"
    note_growth(path, content)
    with pytest.raises(ValueError, match=r"^growth\.json in .*copy\.keras is damaged \(\w+\); give another one\.$"):
        load_generator(path)


@pytest.mark.parametrize("source", ["ffhq-1024", "https://example.org/networks/faces.pkl"])
def test_a_published_network(tmp_path, monkeypatch, source):
    """A name or a URL, unless there is a file of that name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(find, "obtain_network", lambda source, cache: Path(cache, f"{len(source)}.pkl"))
    (target,) = find_targets(source, cache_dir="elsewhere")
    assert target == (Path("elsewhere", f"{len(source)}.pkl"), Path(), None, None)
    Path("ffhq-1024").write_bytes(b"\x80 as pickles begin")
    assert find_targets("ffhq-1024")[0].path == Path("ffhq-1024")


def test_networks(tmp_path):
    tiny_generator().save(tmp_path / "G.keras")
    assert load_generator(tmp_path / "G.keras").resolution == 8
    MappingNetwork(latent_size=4, dlatent_size=4, mapping_layers=1, mapping_fmaps=4).save(tmp_path / "M.keras")
    with pytest.raises(ValueError, match=r"M\.keras is a MappingNetwork, no generator; give Gs\.keras"):
        load_generator(tmp_path / "M.keras")
    (tmp_path / "G.keras").write_bytes((tmp_path / "G.keras").read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"G\.keras is damaged, or no network of this project \(\w+\); give"):
        load_generator(tmp_path / "G.keras")


@pytest.mark.parametrize("name, resolution, dataset", [("avatars-64", 64, "avatars"), ("digits-32", 32, "digits")])
def test_networks_that_come_with_the_project(tmp_path, monkeypatch, name, resolution, dataset):
    """They are whole, are found anywhere, write nothing where they lie, and tell nothing of where they were made."""
    monkeypatch.chdir(tmp_path)
    (target,) = find_targets(name)
    assert (target.name, target.home, target.config.dataset) == (name, Path(), dataset)
    generator = load_generator(target.path)
    assert generator.resolution == resolution
    assert float(np.std(generator(np.random.default_rng(0).standard_normal((4, generator.latent_size))))) > 0.3
    _, networks = load_trained(name)
    assert networks.keys() == {"G", "D", "Gs"}
    folder = target.path.parent
    assert '"/' not in (folder / "training.json").read_text() and (folder / "README.md").is_file()
    assert licence(target).startswith("CC0 1.0")
    assert sum(file.stat().st_size for file in folder.parent.rglob("*")) < 6e6
    Path(name).mkdir()
    with pytest.raises(ValueError, match="There is no"):  # a folder of that name comes first
        find_targets(name)
