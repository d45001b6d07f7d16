"""Turn full-body photographs into the SHHQ-HS head-shoulder portrait data set (AniPortraitGAN, SIGGRAPH Asia 2023)."""

__version__ = "0.1.0"
