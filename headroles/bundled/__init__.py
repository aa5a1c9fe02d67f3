"""The models that come with it, and how they were trained."""
