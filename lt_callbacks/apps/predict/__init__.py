"""The command `lt-predict`: pictures classified by the network that a run of `lt-train` left."""
