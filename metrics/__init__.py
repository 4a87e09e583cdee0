"""Metrics of generators."""

# {name: function(generator, dataset) -> {result: float}}, for snapshots of a run and for run_metrics.py.
METRICS = {}
