"""What one method reached with one seed, the JSON documents that hold it, and the machine it was measured on."""
