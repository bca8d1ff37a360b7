"""What runs beside a reader's cell: failures, programs, progress."""
