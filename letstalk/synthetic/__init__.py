"""Synthetic talking people: unlimited, labelled, licence-clean training video."""
