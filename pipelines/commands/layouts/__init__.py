"""Writers of `shhq-hs export`, one layout a file; `pipelines/commands/export.py` lists them."""
