"""The journal as files for other tools: hledger, beancount, CSV, Parquet; written as it is read."""
