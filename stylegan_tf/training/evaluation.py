"""Metrics of a run's snapshots: measured, kept as JSON lines, and the best snapshot by FID kept as a copy."""

import json
import math
import shutil
import time
from pathlib import Path

from dnnlib.files import atomic_folder
from dnnlib.json_lines import append_record, read_records


class Evaluation:
    """Measures snapshots with metrics that the door gives.

    Each measurement is a line of RUN/metric-NAME.jsonl: {"metric", "kimg", "snapshot", "results", "seconds"}; a result
    that is not finite is null. The snapshot with the lowest FID, the first result of the first metric whose name begins
    with "fid", is copied to RUN/best, with best.json: {"metric", "value", "kimg", "snapshot"}.

    Args:
        run_dir: Folder of the run.
        metrics: {name: function(generator, dataset) -> {result: number}}.
    """

    def __init__(self, run_dir, metrics):
        self.run_dir = Path(run_dir)
        self.metrics = metrics
        self.best_metric = next((name for name in metrics if name.startswith("fid")), None)

    def measure(self, snapshot, generator, dataset, kimg):
        """Measures a snapshot with every metric, but for those of which its result is known from before a resume.

        A metric that raises, and a file that cannot be written, are reported in the lines and end nothing.

        Args:
            snapshot: Folder of the snapshot.
            generator: Gs, as it is in the snapshot.
            dataset: MultiResolutionDataset.
            kimg: Thousands of real images seen.

        Returns:
            ({result: finite float}, lines to print).
        """
        scalars, lines = {}, []
        for name in self.metrics:
            try:
                results, seconds = self.results(name, Path(snapshot), (generator, dataset), kimg)
                shown = ", ".join(
                    f"{key} {'not finite' if value is None else f'{value:.4f}'}" for key, value in results
                )
                lines.append(f"{Path(snapshot).name}: {shown}  ({seconds:.0f} s)")
                scalars |= {key: value for key, value in results if value is not None}
                if name == self.best_metric and self.keep_best(Path(snapshot), results[0][1], kimg):
                    lines.append(f"This is the best {name} so far; the snapshot is kept in {self.run_dir / 'best'}.")
            except Exception as error:  # of three weeks of training, a metric is not worth the end
                reason = (str(error).splitlines() or [""])[0]
                lines.append(f"{Path(snapshot).name}: {name} failed with {type(error).__name__}: {reason}")
        return scalars, lines

    def results(self, name, snapshot, measured, kimg):
        """([(result, finite float or None)], seconds) of one metric of (generator, dataset), known or new."""
        path = self.run_dir / f"metric-{name}.jsonl"
        for record in read_records(path, {"snapshot", "results", "seconds"}):
            if record["snapshot"] == snapshot.name:
                return list(record["results"].items()), record["seconds"]
        start = time.perf_counter()
        results = {key: finite(value) for key, value in self.metrics[name](*measured).items()}
        seconds = time.perf_counter() - start
        record = {"metric": name, "kimg": kimg, "snapshot": snapshot.name, "results": results, "seconds": seconds}
        append_record(path, record)
        return list(results.items()), seconds

    def keep_best(self, snapshot, value, kimg):
        """Copies a snapshot to RUN/best if its value is the lowest so far; returns whether it is."""
        best = self.best()
        if value is None or (best is not None and value >= best["value"]):
            return False
        with atomic_folder(self.run_dir / "best") as folder:
            shutil.copytree(snapshot, folder, dirs_exist_ok=True)
            record = {"metric": self.best_metric, "value": value, "kimg": kimg, "snapshot": snapshot.name}
            (folder / "best.json").write_text(json.dumps(record, indent=2) + "\n")
        return True

    def best(self):
        """The contents of best.json, None if there is none for this metric."""
        try:
            record = json.loads((self.run_dir / "best" / "best.json").read_text())
            return {**record, "value": float(record["value"])} if record["metric"] == self.best_metric else None
        except (OSError, KeyError, TypeError, ValueError):
            return None


def finite(value):
    """A number as a Python float, None if it is not finite."""
    value = float(value)
    return value if math.isfinite(value) else None
