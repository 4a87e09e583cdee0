"""Manifests: what a data set was when it was written, and whether its files still are."""

import functools
import hashlib
import json
import os
import threading

import tensorflow as tf
from tqdm import tqdm

from datasets.errors import DatasetError
from datasets.pool import thread_map
from datasets.records import open_file

_HASH_BYTES = 2**22


def find_manifests(folder):
    """Returns the paths of the manifests in a folder: one, or none."""
    return [
        os.path.join(folder, name) for name in sorted(tf.io.gfile.listdir(folder)) if name.endswith("-manifest.json")
    ]


def load_manifest(path):
    """Returns what a data set's manifest holds; DatasetError if it is none."""
    with tf.io.gfile.GFile(path, "rb") as file:
        try:
            manifest = json.loads(file.read())
        except ValueError:
            manifest = None
    files = manifest.get("files") if isinstance(manifest, dict) else None
    if not isinstance(files, dict) or not all(isinstance(facts, dict) for facts in files.values()):
        raise DatasetError(f"{path} is no manifest of a data set, or is damaged. Copy it again, or remove it.")
    return manifest


def check_files(folder, manifest, workers=None):
    """Compares files with the sizes and SHA-256 of a manifest; returns a line for each problem."""
    files = manifest["files"]
    paths = {name: os.path.join(folder, name) for name in files}
    sizes = {name: tf.io.gfile.stat(path).length if tf.io.gfile.exists(path) else None for name, path in paths.items()}
    problems = [f"{paths[name]} is missing, but the manifest lists it." for name in files if sizes[name] is None]
    problems += [
        f"{paths[name]} has {size} bytes, but the manifest says {files[name].get('bytes')}."
        for name, size in sizes.items()
        if size is not None and size != files[name].get("bytes")
    ]
    names = [name for name, size in sizes.items() if size is not None and size == files[name].get("bytes")]
    total = sum(sizes[name] for name in names)
    with tqdm(desc="Hashing", total=total, unit="B", unit_scale=True, disable=None) as progress:
        hashed = functools.partial(_sha256, progress, threading.Lock())
        for name, digest in zip(names, thread_map(hashed, [paths[name] for name in names], workers), strict=True):
            if digest != files[name].get("sha256"):
                problems.append(
                    f"{paths[name]} has not the SHA-256 that the manifest lists: it was changed or damaged."
                )
    return problems


def _sha256(progress, lock, path):
    digest = hashlib.sha256()
    with open_file(path) as file:
        while chunk := file.read(_HASH_BYTES):
            digest.update(chunk)
            with lock:
                progress.update(len(chunk))
    return digest.hexdigest()


def check_numbers(path, manifest, dataset):
    """Compares the numbers of the manifest at `path` with the data set; returns a line for each problem."""
    largest = dataset.level(dataset.resolution)
    actual = {
        "num_images": dataset.num_images,
        "resolution": dataset.resolution,
        "num_channels": dataset.num_channels,
        "label_size": dataset.label_size,
        "encoding": largest.encoding,
        "shards": len(largest.files),
    }
    return [
        f"{path} says {key} {manifest.get(key)}, but the files hold {value}."
        for key, value in actual.items()
        if manifest.get(key) != value
    ]
