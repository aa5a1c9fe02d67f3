"""Where images come from: folders, tables, tar shards, parquet files, Hugging Face data sets."""

from headroles.images.sources.find import Source, find_source

__all__ = ["Source", "find_source"]
