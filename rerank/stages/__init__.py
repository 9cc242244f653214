"""The pipeline's stages, one file each; `pipeline` lists them in their order."""
