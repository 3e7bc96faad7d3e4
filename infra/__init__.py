"""The engine of cookiecutter-cloudrun: what the Invoke tasks of a generated service run on."""
