"""The one place that states the version (read by packaging without importing anything heavy)."""

VERSION = "0.1.0"
