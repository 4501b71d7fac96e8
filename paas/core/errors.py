"""Every error a caller may catch, as one tree: a class is a reaction, not a place.

`code` is what the native API answers in `"code"`; `field` is the path of the offending
value in a request; `hint` says what the reader can do.
"""


class PaasError(Exception):
    """The root: a sentence for people, with what a machine needs beside it."""

    code = "INTERNAL"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        field: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        self.hint = hint
        if code is not None:
            self.code = code


class BadRequest(PaasError):
    """What was sent cannot be read at all (HTTP 400)."""

    code = "BAD_REQUEST"


class Unauthorized(PaasError):
    """The caller has not shown who it is (HTTP 401)."""

    code = "UNAUTHORIZED"


class Forbidden(PaasError):
    """The caller may not ask this (HTTP 403)."""

    code = "FORBIDDEN"


class NotFound(PaasError):
    """Nothing has that id or name (HTTP 404)."""

    code = "NOT_FOUND"


class Conflict(PaasError):
    """It contradicts what is there (HTTP 409)."""

    code = "CONFLICT"


class TooLarge(PaasError):
    """More bytes than a limit allows (HTTP 413)."""

    code = "TOO_LARGE"


class UnsupportedMedia(PaasError):
    """The content type is not one we take here (HTTP 415)."""

    code = "UNSUPPORTED_MEDIA_TYPE"


class Invalid(PaasError):
    """It can be read, but a value is not acceptable (HTTP 422)."""

    code = "INVALID"


class NotSupported(PaasError):
    """A documented feature that this version does not have (HTTP 501)."""

    code = "NOT_IMPLEMENTED"


class Unavailable(PaasError):
    """Cannot be done now, may work later: disk full, engine down (HTTP 503)."""

    code = "UNAVAILABLE"


class Stale(PaasError):
    """Someone else moved the record first: read again."""


class IllegalMove(PaasError):
    """The state table forbids this move: a bug of the caller."""


class BadArchive(PaasError):
    """An artifact that cannot be run: unsafe, broken, too large or without a command."""

    code = "BAD_ARCHIVE"


class BadManifest(PaasError):
    """A manifest that cannot be used; the message names its file, the line and the cause."""

    code = "BAD_MANIFEST"


class BuildFailed(PaasError):
    """A build came to nothing; the message names the step, if it was one that failed."""

    code = "BUILD_FAILED"


class StartFailed(PaasError):
    """A task could not be started, or ended before it was ready."""


class StateUnusable(PaasError):
    """The data directory cannot be used: held by another agent, or newer than the code."""
