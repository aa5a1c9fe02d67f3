"""Several adapters of one method over one frozen CLIP become one."""
