"""The parts of a running job: its state, its sound, its portraits, its chunks and its video."""
