"""Statements as files for people: a PDF and a workbook, in the partner's language. Knows no HTTP.

`words/` holds what a statement says, a file per language; `content` puts a statement's facts into words;
`workbook` and `pdf` make the bytes. The same statement in the same language is the same bytes, anywhere.
"""
