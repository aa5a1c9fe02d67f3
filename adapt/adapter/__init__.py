"""The adapter folder: PEFT's layout, with the role map and all settings beside the trained tensors."""
