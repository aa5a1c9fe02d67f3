"""What the help of `headroles score` says beside its options: their sections, and kinds of images."""

IMAGES = """
\b
IMAGES are one of
  shapes                      rendered scenes, offline
  photos/                     a folder of image files, at any depth
  list.csv                    a table with a column of paths (--column)
  shards/  shards/*.tar  "shards/{000..010}.tar"     tar files, as webdataset writes
  data/  data/*.parquet       parquet files with a column of images (--column)
  saved/                      a folder that datasets' save_to_disk wrote (--split)
  hf:NAME  hf:NAME:CONFIG     a data set of the Hugging Face hub, streamed (--split)
With --by images they need labels: shapes, a folder CONCEPT/VALUE/, or a table path,CONCEPT,CONCEPT...
With --by weights none is read, unless some are given for the mean of their embeddings. With --tower text texts go in.
"""
SECTIONS = {
    "Model and images": (
        "model", "activation", "texts_from", "align_to", "images", "count", "column", "split", "key",
        "groups", "max_pixels", "strict",
    ),
    "What is computed": ("by", "tower", "texts", "preset", "layers", "bootstraps", "seed"),
    "By texts": (
        "probes", "texts_per_head", "selection", "weights", "prior_correction", "center_texts", "constants", "rank",
        "span_rank", "null_draws", "concepts", "encoder", "noise", "min_cluster_size",
    ),
    "By images": ("shares", "sharing"),
    "By weights": ("texts_per_direction", "coherence", "reading", "directions_per_head"),
    "Roles": ("roles_by", "low", "high"),
    "How it runs": ("device", "precision", "compile", "batch", "workers", "shard", "resume", "save_every", "dry_run"),
    "Without some heads": ("ablate", "ablate_mode", "ablate_effect", "ablate_images"),
    "Results": ("output", "overwrite", "config"),
}  # fmt: skip
