"""What this site adds to Sphinx: verdicts, pictures and measurements, made at build time."""
