//! The ways in which one request can go wrong.

/// What happens to one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// This status instead of an answer; nothing is done.
    Status(u16),
    /// 429 with `Retry-After`; nothing is done.
    TooMany,
    /// All tokens end their life before the request is looked at; without token authentication, a bare 401.
    Expired,
    /// The connection is reset after the request came; nothing is done.
    ResetBeforeHeaders,
    /// The request is done, and the connection reset instead of an answer.
    ResetAfterwards,
    /// The connection is reset behind the answer's head.
    ResetAfterHeaders,
    /// The connection ends in the middle of the answer's body.
    Truncated,
    /// There are more bytes than there should be, and they are announced.
    ExtraBytes,
    /// The body is another one, and the digest in the head is that of another one.
    WrongDigest,
    /// The answer says that it is another part than was asked for.
    WrongRange,
    /// All upload sessions are lost before the request is looked at.
    LostSession,
    /// "201 Created", and nothing was stored.
    NotStored,
    /// A redirect to the same address, for ever.
    RedirectLoop,
    /// A redirect to another host.
    RedirectElsewhere,
    /// The answer comes byte by byte.
    Slow,
    /// No answer ever comes.
    Silent,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 22] = [
        Self::TooMany,
        Self::Status(500),
        Self::Status(502),
        Self::Status(503),
        Self::Status(504),
        Self::Status(403),
        Self::Status(416),
        Self::Status(507),
        Self::Expired,
        Self::ResetBeforeHeaders,
        Self::ResetAfterwards,
        Self::ResetAfterHeaders,
        Self::Truncated,
        Self::ExtraBytes,
        Self::WrongDigest,
        Self::WrongRange,
        Self::LostSession,
        Self::NotStored,
        Self::RedirectLoop,
        Self::RedirectElsewhere,
        Self::Slow,
        Self::Silent,
    ];

    /// Those after which another attempt has to bring the right image.
    pub fn passes(self) -> bool {
        match self {
            Self::TooMany
            | Self::Expired
            | Self::ResetBeforeHeaders
            | Self::ResetAfterwards
            | Self::ResetAfterHeaders
            | Self::LostSession
            | Self::NotStored
            | Self::Slow
            | Self::Silent => true,
            Self::Status(status) => matches!(status, 500 | 502 | 503 | 504),
            Self::Truncated
            | Self::ExtraBytes
            | Self::WrongDigest
            | Self::WrongRange
            | Self::RedirectLoop
            | Self::RedirectElsewhere => false,
        }
    }
}
