"""Trained generators as files for other programs: SavedModel, ONNX, plain weights. Serving itself is in serving/."""
