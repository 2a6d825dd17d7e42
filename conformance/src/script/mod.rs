//! The step language: what the steps of a case mean, apart from how they are carried out.

pub(crate) mod lex;
mod parse;
pub(crate) mod pattern;
pub(crate) mod value;

pub(crate) use parse::script;

use value::{Expression, Template};

/// One line of a script.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Step {
    /// As the author wrote it.
    pub(crate) text: String,
    /// Who does it: the name before the colon; none is the main session.
    pub(crate) subject: Option<String>,
    pub(crate) action: Action,
    /// `after DURATION`: what the step waits for must not come before.
    pub(crate) after: Option<Expression>,
    /// `within DURATION`: it must come by then; without it, at once.
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
    /// `expect …`, or `await …`, which passes over what does not match.
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
    Resembles { value: Expression, not: bool, pattern: Match },
    /// `repeat COUNT { … }`
    Repeat { times: Expression, steps: Vec<Step> },
    /// `accept TRANSPORT [HANDSHAKE]`: a new session of the client.
    AcceptSession { transport: Expression, handshake: Option<Expression> },
    /// `requests manual`: those of a session that was accepted are answered by hand from here on.
    RequestsManual,
    /// `requests refused`: the session is gone, and those that still name it are told so.
    RequestsRefused,
    /// `accept connect [NAMESPACE] [REPLY]`
    AcceptConnect { namespace: Option<Expression>, reply: Option<Expression> },
    /// `accept upgrade`
    AcceptUpgrade,
    /// `accept METHOD [TARGET PATTERN]`: one request of the client, answered by hand.
    AcceptRequest { method: String, target: Option<Match> },
    /// `accept link [TARGET PATTERN]`: one WebSocket of the client, whose frames are ours to play with.
    AcceptLink { target: Option<Match> },
    /// `answer STATUS [BODY] [header …]`
    Answer { status: Expression, body: Option<Expression>, headers: Vec<Expression> },
}

/// A frame that an honest endpoint might never write.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RawFrame {
    pub(crate) more: bool,
    /// The three reserved bits, the first of them the highest.
    pub(crate) reserved: u8,
    /// Against the rule for this side: a client's frame without a mask, a server's with one.
    pub(crate) wrong_mask: bool,
    /// What the header says instead of the length.
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

/// Things that have to happen next, in any order; each is a choice.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Term(pub(crate) Vec<Choice>);

/// Outcomes of which one is enough.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Choice(pub(crate) Vec<Outcome>);

/// Something that can be seen.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Outcome {
    /// A packet, a WebSocket message, a line.
    Packet(Match),
    /// `STATUS [BODY] [header …] [without …]`: the answer to a request, or to the opening of a WebSocket.
    Answer { status: Status, body: Option<Match>, headers: Vec<(String, Option<Match>)>, without: Vec<String> },
    /// `closed`: the other side has ended it, one way or the other.
    Closed,
    /// `finished`: it has ended, but no reset, and everything that was written has been taken.
    Finished,
    /// `close CODE`: it has ended by a WebSocket close frame with this code; 1005 is a frame without one.
    CloseFrame(Expression),
    /// `ping PAYLOAD` of WebSocket.
    Ping(Option<Match>),
    /// `pong PAYLOAD` of WebSocket.
    Pong(Option<Match>),
}

/// How a text or bytes have to look.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Match {
    /// `anything`
    Anything,
    /// An expression: exactly this.
    Exact(Expression),
    /// `'…'`: JSON by value, with holes.
    Packet(Template),
    /// `msgpack '…'`: the same for a MessagePack packet.
    Msgpack(Template),
    /// `/…/`
    Regex(Template),
}

/// Which status codes.
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
