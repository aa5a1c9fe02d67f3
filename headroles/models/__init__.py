"""A CLIP with every head hooked."""
