"""What test_sabotage.py breaks, in files by rooms: name -> file, text, replacement, test that turns red."""

from breakages import commands, distilling, labels, pictures, results, running, training

BREAKAGES = {
    **labels.BREAKAGES,
    **training.BREAKAGES,
    **commands.BREAKAGES,
    **pictures.BREAKAGES,
    **results.BREAKAGES,
    **distilling.BREAKAGES,
    **running.BREAKAGES,
}
