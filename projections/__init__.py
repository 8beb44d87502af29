"""What is asked: views of the log, kept up to date in batches and made anew whenever that is wanted."""
