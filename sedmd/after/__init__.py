"""What comes after the spectrum: report, classify, publish, upload, send. Reads products; changes none but its own."""
