"""What bodies of requests have in common."""

from pydantic import BaseModel, ConfigDict


class Input(BaseModel):
    """A body in which nothing may stand that is not known: a field misspelt is an error, not a default."""

    model_config = ConfigDict(extra="forbid")
