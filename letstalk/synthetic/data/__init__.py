"""What is made of it: clips, shards, splits, the frozen benchmark, samples and contact sheets."""
