//! The step language: the syntax and meaning of steps. [`crate::play`] executes them.

pub(crate) mod lex;
mod parse;
pub(crate) mod pattern;
pub(crate) mod value;

pub(crate) use parse::script;

use value::{Expression, Template};

/// One line of a script.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Step {
    /// The text of the line.
    pub(crate) text: String,
    /// The name before the colon. `None` is the main session.
    pub(crate) subject: Option<String>,
    pub(crate) action: Action,
    /// `after DURATION`: what the step waits for must not arrive earlier.
    pub(crate) after: Option<Expression>,
    /// `within DURATION`: it must arrive in this time. Without it, it must arrive at once.
    pub(crate) within: Option<Expression>,
}

/// What a step does.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Action {
    /// `open TRANSPORT [QUERY] [header …]`
    Open { transport: Expression, query: Option<Expression>, headers: Vec<Expression> },
    /// `connect [NAMESPACE] [AUTH]`
    Connect { namespace: Option<Expression>, auth: Option<Expression> },
    /// `upgrade [TRANSPORT]`
    Upgrade { transport: Option<Expression> },
    /// `send PACKET…`
    Send(Vec<Expression>),
    /// `expect …`, or `await …`, which skips what does not match.
    Expect { skip: bool, terms: Vec<Term> },
    /// `silence DURATION`
    Silence(Expression),
    /// `alive`
    Alive,
    /// `dead`
    Dead,
    /// `close [CODE] [REASON]`
    Close { code: Option<Expression>, reason: Option<Expression> },
    /// `abort`
    Abort,
    /// `poll [SESSION]`
    Poll { session: Option<String> },
    /// `post [SESSION] PACKET…`
    Post { session: Option<String>, packets: Vec<Expression> },
    /// `request METHOD TARGET [header …] [body …]`
    Request { method: String, target: Expression, headers: Vec<Expression>, body: Option<Expression> },
    /// `websocket [SESSION | TARGET] [header …]`
    WebSocket { session: Option<String>, target: Option<Expression>, headers: Vec<Expression> },
    /// `webtransport [SESSION]`
    WebTransport { session: Option<String> },
    /// `tcp`
    Tcp,
    /// `frame [more] [rsvN] [unmasked] [length N] OPCODE PAYLOAD`
    Frame(Box<RawFrame>),
    /// `bytes BYTES`
    Bytes(Expression),
    /// `finish`
    Finish,
    /// `stream BYTES`
    Stream(Expression),
    /// `heartbeat auto | manual`
    Heartbeat { auto: bool },
    /// `let NAME = EXPRESSION`
    Let { name: String, value: Expression },
    /// `check LEFT = RIGHT`, also `!=`, `<`, `>`
    Check { left: Expression, comparison: Comparison, right: Expression },
    /// `check VALUE /REGEX/`, or `not /REGEX/`
    CheckPattern { value: Expression, not: bool, pattern: Match },
    /// `repeat COUNT { … }`
    Repeat { times: Expression, steps: Vec<Step> },
    /// `accept TRANSPORT [HANDSHAKE]`: a new session of the client.
    AcceptSession { transport: Expression, handshake: Option<Expression> },
    /// `requests manual`: from here on, the script answers the requests of an accepted session.
    RequestsManual,
    /// `requests refused`: the session is over, and requests that name it are refused.
    RequestsRefused,
    /// `accept connect [NAMESPACE] [REPLY]`
    AcceptConnect { namespace: Option<Expression>, reply: Option<Expression> },
    /// `accept upgrade`
    AcceptUpgrade,
    /// `accept METHOD [TARGET PATTERN]`: one request of the client, answered by the script.
    AcceptRequest { method: String, target: Option<Match> },
    /// `accept link [TARGET PATTERN]`: one WebSocket of the client, controlled by the script.
    AcceptLink { target: Option<Match> },
    /// `answer STATUS [BODY] [header …]`
    Answer { status: Expression, body: Option<Expression>, headers: Vec<Expression> },
}

/// A frame that a correct endpoint might never write.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RawFrame {
    pub(crate) more: bool,
    /// The three reserved bits. RSV1 is the highest.
    pub(crate) reserved: u8,
    /// Breaks the masking rule: a client's frame without a mask, or a server's frame with one.
    pub(crate) wrong_mask: bool,
    /// The length in the header, if it differs from that of the payload.
    pub(crate) length: Option<Expression>,
    pub(crate) opcode: u8,
    pub(crate) payload: Expression,
}

/// How two values are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Comparison {
    Equal,
    Different,
    Less,
    Greater,
}

/// Choices that must all be met next, in any order.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Term(pub(crate) Vec<Choice>);

/// Outcomes of which one is enough.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Choice(pub(crate) Vec<Outcome>);

/// An outcome that can be observed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Outcome {
    /// A packet, a WebSocket message or a line.
    Packet(Match),
    /// `STATUS [BODY] [header …] [without …]`: the response to a request, or to the opening of a WebSocket.
    Answer { status: Status, body: Option<Match>, headers: Vec<(String, Option<Match>)>, without: Vec<String> },
    /// `closed`: the peer has ended it in any way.
    Closed,
    /// `finished`: the connection has ended without a reset, and all written bytes were read.
    Finished,
    /// `close CODE`: it has ended with a WebSocket close frame with this code. 1005 is a frame without a code.
    CloseFrame(Expression),
    /// `ping PAYLOAD` of a WebSocket.
    Ping(Option<Match>),
    /// `pong PAYLOAD` of a WebSocket.
    Pong(Option<Match>),
}

/// A pattern for a text or bytes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Match {
    /// `anything`
    Anything,
    /// An expression: exactly this value.
    Exact(Expression),
    /// `'…'`: JSON compared by value, with wildcards.
    Packet(Template),
    /// `msgpack '…'`: the same for a MessagePack packet.
    Msgpack(Template),
    /// `/…/`
    Regex(Template),
}

/// A pattern for a status code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Exactly(u16),
    /// `4xx`
    Hundreds(u16),
}

impl Status {
    pub(crate) fn matches(self, status: u16) -> bool {
        match self {
            Self::Exactly(wanted) => wanted == status,
            Self::Hundreds(hundreds) => status / 100 == hundreds,
        }
    }
}
