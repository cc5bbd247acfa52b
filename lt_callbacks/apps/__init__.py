"""The commands and their config schemas; the only room that imports Hydra."""
