"""The bundled small CLIP, in Hugging Face layout; README.md beside this file is its model card."""
