"""Tasks: where the images of an adaptation come from and how they are split."""
