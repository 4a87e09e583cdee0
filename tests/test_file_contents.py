"""Network files are known by what is in them, whatever they are called."""

import shutil
import zipfile

import numpy as np
import pytest
from processes import ROOT
from tiny_generators import tiny_generator

from stylegan_tf.export.model_card import network_facts
from stylegan_tf.files.contents import Kind, kind_of
from stylegan_tf.files.find import find_targets, load_generator, load_trained
from stylegan_tf.files.identity import network_hash

PICKLE = ROOT / "tests/reference/data/networks-stylegan1.pkl"


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    """{kind: (file, hash of its generator)}."""
    path = tmp_path_factory.mktemp("networks") / "tiny.keras"
    tiny_generator().save(path)
    return {kind: (file, network_hash(load_generator(file))) for kind, file in (("keras", path), ("pickle", PICKLE))}


@pytest.mark.parametrize("name", ["network", "latest.pkl", "latest.keras", "Gs.bin", "a.b.zip"])
@pytest.mark.parametrize("kind", ["keras", "pickle"])
def test_names_do_not_matter(originals, tmp_path, kind, name):
    file, expected = originals[kind]
    path = tmp_path / name
    shutil.copy(file, path)
    assert kind_of(path) is {"keras": Kind.KERAS, "pickle": Kind.FOREIGN}[kind]
    (target,) = find_targets(path)
    assert network_hash(load_generator(target.path)) == expected
    assert network_facts(target, str(path))


@pytest.mark.parametrize("name", ["network", "latest.pkl", "latest.keras"])
@pytest.mark.parametrize("content", [b"", b"\0" * 1000, b"text\n", b"PK\3\4 and no more", b"\x80\4 and no more"])
def test_what_is_no_network_is_refused_by_name(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ValueError, match=str(path)) as error:
        load_generator(path)
    assert np.char.count(str(error.value), "\n") == 0


@pytest.mark.parametrize("name", ["picture.png", "checkpoint-000001.npz", "pictures.zip"])
def test_other_kinds_of_files_are_refused_before_they_are_opened(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b"\x89PNG and so on")
    if path.suffix != ".png":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("0.npy", b"")
    for find in (find_targets, load_trained):
        with pytest.raises(ValueError, match=f"{path} is no network; give a run, a snapshot"):
            find(path)
