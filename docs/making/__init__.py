"""What pages show of results: tables by name, and pictures by the name of their file."""

from making import choosing, commands, definitions, images
from making.pictures import PICTURES
from making.tables import TABLES

__all__ = ["PICTURES", "TABLES", "choosing", "commands", "definitions", "images"]
