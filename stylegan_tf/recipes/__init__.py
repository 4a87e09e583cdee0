"""Settings of a run, the papers' configurations and figures, the schedule: pure data and functions. Nothing trains."""
