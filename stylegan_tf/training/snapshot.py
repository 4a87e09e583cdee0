"""Network snapshots: folders that `keras.saving.load_model` opens."""

import json
from dataclasses import asdict

from dnnlib.files import atomic_folder, remove_partial
from stylegan_tf.recipes.settings import to_dict


def save_snapshot(run_dir, models, progress, phase, config):
    """Writes RUN/network-snapshot-KIMG with G.keras, D.keras, Gs.keras and training.json; returns its path.

    Args:
        run_dir: Folder of the run.
        models: Models.
        progress: Progress.
        phase: Phase of the last step.
        config: TrainingConfig.
    """
    path = run_dir / f"network-snapshot-{progress.images_seen // 1000:06d}"
    remove_partial(run_dir, "network-snapshot-*")
    with atomic_folder(path) as folder:
        for network in (models.G, models.D, models.Gs):
            if network is not models.D and network.grows:
                network.growth = phase.resolution, phase.fade
            network.save(folder / f"{network.name}.keras")
        state = {**asdict(progress), "resolution": phase.resolution, "fade": phase.fade, "config": to_dict(config)}
        (folder / "training.json").write_text(json.dumps(state, indent=2) + "\n")
    return path
