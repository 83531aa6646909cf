"""Access logs of web servers, and what they say about downloads.

A reader of logs depends on nothing else of the mirror but the names of projects and files.
"""
