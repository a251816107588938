"""Training. Nothing here needs the app, PyAV, librosa, insightface or typer: a bare GPU machine is enough."""
