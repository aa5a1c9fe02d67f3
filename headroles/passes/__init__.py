"""One pass over many images, by many processes, resumable."""
