"""The one exception that means: what the user asked for was refused."""


class InputError(ValueError):
    """The user's input was refused; the message is one sentence for a person."""
