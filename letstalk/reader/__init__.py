"""The face reader: a small network that reads landmarks, mouth, eyes and head pose from any picture of a face."""
