"""Video of any length: chunks, the memory between them, and what training does so that an hour does not drift."""
