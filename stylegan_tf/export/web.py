"""Export to a page that needs no server but for its files: the studio's, with the network beside it in ONNX."""

import json
import shutil
import tarfile
from pathlib import Path

import numpy as np

from dnnlib.download import RemoteFile, obtain
from dnnlib.files import atomic_folder
from stylegan_tf.editing.edit import planes_of, unit_steps
from stylegan_tf.export.formats import latent_widths, write_onnx
from stylegan_tf.export.model_card import architecture
from stylegan_tf.pictures.figures import STYLES, style_layers
from stylegan_tf.pictures.sampler import Sampler

# The page itself, which the studio serves as well.
PAGE = Path(__file__).parent / "page"
# What runs ONNX models in browsers, and what it needs on a CPU (Microsoft, MIT licence).
RUNTIME = RemoteFile(
    name="onnxruntime-web-1.30.0.tgz",
    url="https://registry.npmjs.org/onnxruntime-web/-/onnxruntime-web-1.30.0.tgz",
    size=33106585,
    sha256="d2228df7e4616bc3348bf504ee888f3bec43789a273f0a63f3e68d203ce3bf71",
    option="--onnxruntime-web",
)
RUNTIME_FILES = ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
_NOTICE = """onnxruntime-web 1.30.0, from npm. Copyright (c) Microsoft Corporation. MIT licence:
https://github.com/microsoft/onnxruntime/blob/main/LICENSE
"""


def export_web(generator, path, facts=None, target=None, runtime=None, cache_dir="cache"):
    """Writes a folder that any static web server can show: the studio, drawing in the visitor's browser.

        index.html, static/    the page
        network/               mapping.onnx, synthesis.onnx, average and directions of w, studio.json
        onnxruntime-web/       what runs them, 14 MB

    Args:
        generator: A generator of any family, float32.
        path: The folder.
        facts: What is said about the network's origin, a dictionary for JSON.
        target: `find.Target` of the network, beside which directions of attributes are looked for; None for none.
        runtime: The user's own copy of `RUNTIME`.
        cache_dir: Where it is kept once it was downloaded.

    Raises:
        ValueError: A package is missing, or the runtime's file is another one.
        OSError: It cannot be written or downloaded.
    """
    archive = obtain(RUNTIME, Path(cache_dir) / "web", runtime)
    sampler = Sampler(generator)
    steps = unit_steps(sampler, Path("directions.npz") if target is None else planes_of(target, sampler.network_hash))
    with atomic_folder(path) as folder:
        shutil.copytree(PAGE, folder / "static", ignore=shutil.ignore_patterns("index.html"))
        page = (PAGE / "index.html").read_text(encoding="utf-8")
        (folder / "index.html").write_text(page.replace("<html ", "<html data-exported "), encoding="utf-8")
        network = folder / "network"
        network.mkdir()
        card = {"network": facts or {}, **architecture(generator)}
        mapping, synthesis = generator.mapping, generator.synthesis
        shape = (generator.num_layers, generator.dlatent_size)
        write_onnx(
            network / "mapping.onnx", mapping.variables, lambda *z: {"w": mapping(*z)}, latent_widths(generator), card
        )
        write_onnx(
            network / "synthesis.onnx", synthesis.variables, lambda w: {"images": synthesis(w)}, {"w": shape}, card
        )
        np.asarray(generator.w_average).astype("<f4").tofile(network / "w_average.bin")
        np.array([step for step, _ in steps.values()]).astype("<f4").tofile(network / "directions.bin")
        described = {
            "name": path.name if target is None else target.name,
            "kimg": target and target.kimg,
            **page_facts(sampler),
            "directions": [{"name": name, "remark": remark} for name, (_, remark) in steps.items()],
            "card": card,
        }
        (network / "studio.json").write_text(json.dumps(described, indent=2) + "\n", encoding="utf-8")
        _extract_runtime(archive, folder / "onnxruntime-web")


def page_facts(sampler):
    """What the page must know of a network, a dictionary for JSON."""
    generator, layers = sampler.generator, sampler.num_layers
    groups = {}
    for name in STYLES if generator.has_styles else ():
        try:
            groups[name] = list(range(layers))[style_layers(name, layers)]
        except ValueError:  # a small network has no fine ones
            continue
    classes = [{"number": column, "name": sampler.class_name(column)} for column in sampler.classes]
    return {
        "resolution": sampler.resolution,
        "channels": sampler.num_channels,
        "aspect": sampler.aspect and list(sampler.aspect),
        "num_layers": layers,
        "groups": groups,
        "classes": classes if sampler.label_size else [],
        "psi": sampler.usual_psi,
        "cutoff": sampler.truncated_layers,
        "noise": bool(sampler.noise_resolutions),
        "previews": list(generator.synthesis.preview_sides),
        "latent_size": sampler.latent_size,
        "label_size": sampler.label_size,
        "dlatent_size": generator.dlatent_size,
    }


def _extract_runtime(archive, folder):
    folder.mkdir()
    with tarfile.open(archive) as tar:
        for name in RUNTIME_FILES:
            with tar.extractfile(f"package/dist/{name}") as source, open(folder / name, "wb") as file:
                shutil.copyfileobj(source, file)
    (folder / "NOTICE.txt").write_text(_NOTICE)
