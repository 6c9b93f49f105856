"""What can go wrong in the profiler, each error naming its remedy."""


class ProfilerError(Exception):
    """Base of every error that the profiler raises on purpose."""


class AddressError(ProfilerError, ValueError):
    """A text is not an IPv4 or IPv6 address or prefix."""


class FormatError(ProfilerError, ValueError):
    """A format name is unknown, or a whole batch is not of the format it claims."""


class JournalError(ProfilerError):
    """The journal cannot take a batch: the disk is full, or the file is damaged or of another version."""


class JournalFullError(JournalError):
    """The queue before the journal is full: send the same batch again later."""


class SinkError(ProfilerError):
    """Whoever takes the verdicts cannot take them now; they are offered again."""
