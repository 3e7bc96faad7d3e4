"""What the service is called and what it is for, as its docs page says it."""

from importlib.metadata import version

NAME = "{{ cookiecutter.service }}"
TITLE = {{ cookiecutter.title | literal }}  # fmt: skip
DESCRIPTION = {{ cookiecutter.description | literal }}  # fmt: skip
VERSION = version(NAME)
