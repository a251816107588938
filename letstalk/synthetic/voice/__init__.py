"""What is heard: sentences, voice engines with phone times, augmentation, and the measure of those times."""
