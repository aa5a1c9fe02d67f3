"""CLIP checkpoints in all their file formats: found, read without being run, checked, and brought into one layout."""
