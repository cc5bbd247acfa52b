"""What test_sabotage.py breaks, in files by rooms: name -> file, text, replacement, test that turns red."""

from breakages import commands, distilling, labels, pictures, ranks, results, running, training

BREAKAGES = {
    **labels.BREAKAGES,
    **training.BREAKAGES,
    **commands.BREAKAGES,
    **ranks.BREAKAGES,
    **pictures.BREAKAGES,
    **results.BREAKAGES,
    **distilling.BREAKAGES,
    **running.BREAKAGES,
}
