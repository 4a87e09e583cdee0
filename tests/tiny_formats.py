"""The formats in which data sets are published, with images that are small enough for seconds.

Each function writes real files to a folder and returns what a data set of them must hold: images, uint8 [N, H, W, C],
in the order of the source, and for those with labels the class of each.
"""

import gzip
import io
import json
import pickle
import struct

import h5py
import lmdb
import numpy as np
import scipy.io
from PIL import Image


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def save_images(folder, images, form="{:02d}.png"):
    """Writes the images under their numbers."""
    for number, image in enumerate(images):
        path = folder / form.format(number)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    return images


def write_ffhq(folder, validation=()):
    """Eight faces of 8x8, and ffhq-dataset-v2.json beside the folder, which puts some into the validation set."""
    entries = {str(n): {"category": "validation" if n in validation else "training"} for n in range(8)}
    images = save_images(folder / "00000", noise(8, 8, 8, 3), "{:05d}.png")
    (folder.parent / "ffhq-dataset-v2.json").write_text(json.dumps(entries))
    return images


def write_celebahq(folder, names):
    """Four faces of 8x8, and the list of attributes, list_attr.txt, beside the folder; returns also the labels."""
    labels = np.random.default_rng(1).integers(0, 2, (4, len(names)))
    rows = [f"{number}.png {' '.join(map(str, 2 * row - 1))}" for number, row in enumerate(labels)]
    images = save_images(folder, noise(4, 8, 8, 3), "{}.png")
    (folder.parent / "list_attr.txt").write_text("\n".join(["4", " ".join(names), *rows]) + "\n")
    return images, labels


def write_celeba(folder):
    """Two faces of 178x218; returns the parts of 128x128 around (89, 121), from columns 25 and rows 57."""
    save_images(folder, noise(2, 218, 178, 3), "00000{}.jpg")
    faces = []
    for path in sorted(folder.iterdir()):
        with Image.open(path) as face:
            faces.append(np.asarray(face)[57:185, 25:153])
    return np.stack(faces)


def write_lsun(folder, images):
    """An LMDB database of lossless WebP files."""
    with lmdb.open(str(folder), map_size=2**22) as database, database.begin(write=True) as transaction:
        for number, image in enumerate(images):
            buffer = io.BytesIO()
            Image.fromarray(image).save(buffer, "webp", lossless=True)
            transaction.put(b"%03d" % number, buffer.getvalue())
    return images


def write_mnist(folder):
    """Seven digits; returns them with a border of 2, [7, 32, 32, 1]."""
    folder.mkdir(parents=True, exist_ok=True)
    digits, classes = noise(7, 28, 28), np.array([5, 0, 9, 1, 1, 0, 3], np.uint8)
    for name, array in (("train-images-idx3-ubyte", digits), ("train-labels-idx1-ubyte", classes)):
        header = struct.pack(f">{1 + array.ndim}I", 0x0800 + array.ndim, *array.shape)
        (folder / f"{name}.gz").write_bytes(gzip.compress(header + array.tobytes()))
    return np.pad(digits, ((0, 0), (2, 2), (2, 2)))[..., np.newaxis], classes


def _write_pickle(path, **contents):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps({key.encode(): value for key, value in contents.items()}, protocol=2))


def _planes(images):
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2)).reshape(len(images), -1)


def write_cifar10(folder, names):
    images, classes = noise(10, 32, 32, 3), [3, 9, 0, 1, 2, 8, 7, 6, 5, 4]
    for batch in range(5):
        part = slice(2 * batch, 2 * batch + 2)
        _write_pickle(folder / f"data_batch_{batch + 1}", data=_planes(images[part]), labels=classes[part])
    _write_pickle(folder / "batches.meta", label_names=[name.encode() for name in names])
    return images, classes


def write_cifar100(folder, names):
    images, classes = noise(4, 32, 32, 3), [99, 0, 50, 7]
    _write_pickle(folder / "train", data=_planes(images), fine_labels=classes, coarse_labels=[1, 2, 3, 4])
    _write_pickle(folder / "meta", fine_label_names=[name.encode() for name in names])
    return images, classes


def write_svhn(folder):
    """The class of the digit 0 is 10 in the file."""
    folder.mkdir(parents=True, exist_ok=True)
    images, classes = noise(4, 32, 32, 3), np.array([1, 0, 9, 3])
    in_file = np.where(classes, classes, 10).astype(np.uint8)[:, np.newaxis]
    scipy.io.savemat(folder / "train_32x32.mat", {"X": images.transpose(1, 2, 3, 0), "y": in_file})
    return images, classes


def write_hdf5(path):
    """Progressive GAN's file of 4x4 and 8x8, with labels of two columns beside it; returns also the labels."""
    images, labels = noise(5, 8, 8, 3), np.random.default_rng(1).random((5, 2), np.float32)
    with h5py.File(path, "w") as file:
        for side in (4, 8):
            file[f"data{side}x{side}"] = images[:, :side, :side].transpose(0, 3, 1, 2)
    np.save(path.with_name(f"{path.stem}-labels.npy"), labels)
    return images, labels


def write_faces(folder, colours):
    """A picture of 64x64 for each colour and its 68 landmarks, landmarks.json beside the folder."""
    save_images(folder, [np.full((64, 64, 3), colour, np.uint8) for colour in colours], "{}.png")
    points = np.zeros((68, 2))
    points[36:42], points[42:48], points[48], points[54] = (24, 28), (40, 28), (26, 44), (38, 44)
    entries = {f"{number}.png": points.tolist() for number in range(len(colours))}
    (folder.parent / "landmarks.json").write_text(json.dumps(entries))
