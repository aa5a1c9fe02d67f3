"""Where images come from: folders, tables, tar shards, parquet files, Hugging Face data sets."""
