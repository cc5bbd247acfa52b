"""What ``lt-bench`` measures, and how."""
