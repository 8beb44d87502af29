"""The doors: HTTP resources, their schemas, the pages, the command line. Imports every other room."""
