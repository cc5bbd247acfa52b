"""Small problems and modules that several test files share."""
