"""Programs that measure speed and quality."""
