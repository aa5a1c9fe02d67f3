"""The bundled small CLIP whose heads nothing was asked of, in Hugging Face layout; README.md is its model card."""
