"""The examination: measures with a known definition, and suites that hold them against bars and bounds."""
