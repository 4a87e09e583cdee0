"""What pip installs: small, complete without the clone, light to import, and its requirements written once."""

import ast
import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import venv
import zipfile
from pathlib import Path

import numpy as np
import pytest
import yaml
from click.testing import CliRunner
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from PIL import Image
from processes import ENVIRONMENT, ROOT
from tiny_generators import tiny_generator

import stylegan_tf
from datasets import avatars
from dnnlib.image_files import to_uint8_rounded
from stylegan_tf.commands import console
from stylegan_tf.export.warmup import write_warmup
from stylegan_tf.pictures.sampler import latents

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
DEPENDENCIES, EXTRAS = PROJECT["dependencies"], PROJECT["optional-dependencies"]
CLONE_ONLY = ("datasets", "metrics", "tests", "serving", "benchmarks", "run_training")


# The wheel, in a virtual environment with what it depends on and nothing else.


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel of a copy of the clone: setuptools leaves a folder build/ where it works."""
    folder = tmp_path_factory.mktemp("wheel")
    unversioned = shutil.ignore_patterns(
        ".*", "__pycache__", "build", "*.egg-info", "cache", "data", "results", "served"
    )
    shutil.copytree(ROOT, folder / "clone", ignore=unversioned)
    pip = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir=."]
    subprocess.run([*pip, "./clone"], cwd=folder, check=True, capture_output=True, text=True, timeout=300)
    (path,) = folder.glob("*.whl")
    return path


def dependencies(names):
    """Names of the distributions that pip would install for some requirements, themselves and what they need."""
    found, waiting = set(), [Requirement(name) for name in names]
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        if name not in found and (requirement.marker is None or requirement.marker.evaluate({"extra": ""})):
            found.add(name)
            waiting += [Requirement(text) for text in importlib.metadata.requires(name) or ()]
    return found


@pytest.fixture(scope="module")
def environment(wheel):
    """Folder of a virtual environment with the wheel; its dependencies are links to those that are installed here."""
    folder = wheel.parent / "venv"
    venv.create(folder)
    (site_packages,) = folder.glob("lib/python*/site-packages")
    for name in dependencies(DEPENDENCIES):
        distribution = importlib.metadata.distribution(name)
        for entry in {file.parts[0] for file in distribution.files} - {"..", "__pycache__"}:
            # Several share a folder such as google/.
            if not (site_packages / entry).exists():
                (site_packages / entry).symlink_to(distribution.locate_file(entry))
    pip = [sys.executable, "-m", "pip", f"--python={folder / 'bin' / 'python'}", "install", "--no-deps", "--no-index"]
    subprocess.run([*pip, wheel], check=True, capture_output=True, text=True, timeout=300)
    return folder


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    path = tmp_path_factory.mktemp("network") / "Gs.keras"
    tiny_generator().save(path)
    return path


def run(command, cwd):
    """What a command prints that knows nothing of the clone."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")} | ENVIRONMENT
    process = subprocess.run(
        list(map(str, command)), cwd=cwd, env=environment, capture_output=True, text=True, timeout=300
    )
    assert process.returncode == 0, process.stderr
    return process.stdout


def test_what_the_wheel_holds(wheel):
    with zipfile.ZipFile(wheel) as file:
        names = file.namelist()
    packaged = {name for name in names if ".dist-info/" not in name}
    sources = {
        path.relative_to(ROOT).as_posix() for name in ("stylegan_tf", "dnnlib") for path in (ROOT / name).rglob("*.py")
    }
    with_it = {
        path.relative_to(ROOT).as_posix()
        for folder in ("export/page", "files/shipped")
        for path in (ROOT / "stylegan_tf" / folder).rglob("*")
        if path.is_file()
    }
    assert packaged == sources | with_it
    assert wheel.name == f"stylegan_tf-{stylegan_tf.__version__}-py3-none-any.whl"
    assert wheel.stat().st_size < 7e6


# Imports whatever the wheel holds, then opens a network and makes the images of seeds 0 to 3 with psi 0.7.
OUTSIDE = """
import importlib, importlib.util, json, pkgutil, sys
import stylegan_tf, dnnlib

try:
    import stylegan_tf.training
except ModuleNotFoundError as error:
    sentence = str(error)
named = lambda package: [module.name for module in pkgutil.walk_packages(package.__path__, package.__name__ + ".",
                                                                         onerror=lambda name: None)]
modules = [name for name in named(stylegan_tf) + named(dnnlib) if not name.startswith("stylegan_tf.training")]
failed = {}
for name in modules:
    try:
        importlib.import_module(name)
    except ImportError as error:
        failed[name] = error.name

import numpy as np
z = np.load("z.npy")
np.save("images.npy", stylegan_tf.load(sys.argv[1])(z, truncation_psi=0.7))
print(json.dumps({
    "found": [name for name in sys.argv[2:] if importlib.util.find_spec(name)],
    "at": stylegan_tf.__file__, "failed": failed, "imported": len(modules), "sentence": sentence,
}))
"""


def test_a_network_is_used_without_the_clone(environment, network, tmp_path):
    z = latents(range(4), 16)
    np.save(tmp_path / "z.npy", z)
    python = environment / "bin" / "python"
    told = json.loads(run([python, "-c", OUTSIDE, network, *CLONE_ONLY], tmp_path).splitlines()[-1])
    assert told["found"] == [] and Path(told["at"]).is_relative_to(environment)
    # Only metrics/ calls it.
    assert told["failed"] == {"dnnlib.linear_svm": "sklearn"} and told["imported"] > 40
    assert "Train in a clone of the project" in told["sentence"]

    stylegan = [environment / "bin" / "stylegan", "generate", "images", "--num-gpus=0"]
    printed = run([*stylegan, f"--network={network}", "--seeds=0-3", "--outdir=pictures"], tmp_path)
    assert printed.startswith("4 of 4 images made")
    pictures = [np.asarray(Image.open(tmp_path / "pictures" / f"seed{seed:04}.png")) for seed in range(4)]
    images = np.load(tmp_path / "images.npy")
    np.testing.assert_array_equal(to_uint8_rounded(images), pictures)
    assert len(np.unique(images.reshape(4, -1), axis=0)) == 4


def test_a_network_that_comes_with_the_project_is_edited_without_the_clone(environment, tmp_path):
    stylegan = [environment / "bin" / "stylegan", "generate", "edit", "--num-gpus=0", "--network=avatars-64"]
    assert "\nglasses=none " in run([*stylegan, "--list"], tmp_path)
    printed = run([*stylegan, "--seeds=0", "--direction=skinColor=7d4a26:3", "--outdir=edited"], tmp_path)
    assert printed == "edited/edit.png\n"
    with Image.open(tmp_path / "edited" / "edit.png") as image:
        assert image.size == (5 * 64, 64)


def test_help_comes_without_tensorflow(environment, tmp_path):
    text = run([environment / "bin" / "stylegan", "--help"], tmp_path)
    assert all(verb in text for verb in console.VERBS)
    show = "import sys, stylegan_tf.commands.console; print(*sys.modules)"
    loaded = run([environment / "bin" / "python", "-c", show], tmp_path).split()
    assert "click" in loaded and not {"tensorflow", "keras", "numpy"} & set(loaded)


def test_the_package_imports_nothing(environment, tmp_path):
    """But itself, and what Python has loaded anyway as it starts."""
    show = "import sys; before = {*sys.modules}; import stylegan_tf; print(*{*sys.modules} - before)"
    assert run([environment / "bin" / "python", "-c", show], tmp_path).split() == ["stylegan_tf"]


# The console script.


@pytest.mark.parametrize("verb", console.VERBS)
def test_verbs(verb):
    command = console.main.get_command(None, verb)
    assert command.get_short_help_str(limit=1000) == console.VERBS[verb]
    assert (ROOT / "stylegan_tf" / "commands" / f"{verb}.py").is_file()


@pytest.mark.parametrize("arguments", [["exprot"], ["generate", "picture"], ["export", "--network=x", "--outptu=y"]])
def test_wrong_verbs_and_options(arguments):
    result = CliRunner().invoke(console.main, arguments)
    assert result.exit_code == 2 and not result.stdout
    assert result.stderr.startswith("Error: No such ") and result.stderr.count("\n") == 1


# stylegan_tf.load


def test_a_growing_network_is_loaded_as_it_is(tmp_path):
    tiny_generator(growth=(4, 1.0)).save(tmp_path / "Gs.keras")
    images = np.asarray(stylegan_tf.load(tmp_path / "Gs.keras")(latents([5], 16)))
    newest = tiny_generator()(latents([5], 16), resolution=4)
    np.testing.assert_allclose(images, np.repeat(np.repeat(newest, 2, axis=1), 2, axis=2), atol=1e-5)


def test_load(network, tmp_path):
    images = stylegan_tf.load(str(network))(latents([5], 16))
    np.testing.assert_allclose(images, tiny_generator()(latents([5], 16)), atol=1e-5)
    assert stylegan_tf.load(network, dtype="mixed_bfloat16").dtype_policy.name == "mixed_bfloat16"
    with pytest.raises(ValueError, match=r"nothing\.keras does not exist; give a run"):
        stylegan_tf.load(tmp_path / "nothing.keras")


# Requirements.


def requirements(name):
    """The lines of a requirements file that are neither empty nor comments."""
    lines = (ROOT / name).read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def united(*extras):
    """The requirements of some extras, each once."""
    return list(dict.fromkeys(requirement for extra in extras for requirement in EXTRAS[extra]))


def test_requirements_are_those_of_the_package():
    assert requirements("requirements.txt") == DEPENDENCIES + united("data", "training", "metrics", "serving", "studio")
    assert requirements("requirements-dev.txt") == ["-r requirements.txt", *united("onnx", "dev")]


def test_missing_packages_are_of_the_extra_that_is_named():
    found = []
    for folder in ("datasets", "metrics", "stylegan_tf", "dnnlib"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call) and getattr(node.func, "id", None) == "import_optional":
                    module, _, extra, *pins = node.args
                    names = {Requirement(requirement).name for requirement in EXTRAS[extra.value]}
                    # Those for ONNX and those that draw avatars are imported in a loop; the latter have other names.
                    if pins:
                        packages = set(avatars.PACKAGES)
                    else:
                        packages = {"onnx" if isinstance(module, ast.Name) else module.value.partition(".")[0]}
                    found.append((packages, packages <= names))
    assert len(found) >= 5 and all(named for _, named in found), found


def test_an_export_without_the_messages_of_serving_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "tensorflow_serving.apis.predict_pb2", None)
    write_warmup(tmp_path / "requests", "tiny", {"serving_default": {"latents": np.zeros((1, 16), np.float32)}})
    printed = capsys.readouterr()
    assert not list(tmp_path.iterdir()) and not printed.out
    assert printed.err.count("\n") == 1 and "no warm-up requests" in printed.err and "[serving]" in printed.err


def test_facts_that_stand_twice():
    changes = (ROOT / "CHANGELOG.md").read_text()
    assert re.findall(r"^## (\S+)", changes, re.MULTILINE)[0] == stylegan_tf.__version__
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["license"] == PROJECT["license"] and len(citation["references"]) == 2
