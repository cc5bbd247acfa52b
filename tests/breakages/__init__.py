"""What test_sabotage.py breaks, in files by rooms: name -> file, text, replacement, test that turns red."""

from breakages import commands, labels, ranks, training

BREAKAGES = labels.BREAKAGES | training.BREAKAGES | commands.BREAKAGES | ranks.BREAKAGES
