"""The trainer: step, losses, checkpoints, reports. Devices and optimizer are in runtime/, settings in recipes/."""
