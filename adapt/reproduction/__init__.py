"""The published tables of CoOp's benchmark beside ours."""
