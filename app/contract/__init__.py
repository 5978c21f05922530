"""What two processes agree on: paths, programs, reports to PID 1, verdicts and JSON files; standard library only."""
