"""Pages of the docs that are made from the code, the notebooks and the schemas, so that they cannot fall behind."""
