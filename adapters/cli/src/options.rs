//! The options that both tools have: where the server is, and how to connect to it.

use std::ffi::OsString;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use http::header::{HeaderMap, HeaderName, HeaderValue};
use lexopt::ValueExt as _;
use socketio_tokio::client::{ClientBuilder, ClientTls, Dialer, Proxies, Target};
use socketio_tokio::{LinkKind, Transport};

/// Why a command line cannot be used.
pub(crate) type Failure = Box<dyn std::error::Error>;

/// That of the reference.
const OPEN_TIMEOUT: Duration = Duration::from_secs(20);

/// The help text of these options.
pub(crate) const HELP: &str = "\
Connection
    --transport NAME      polling or websocket; give both in the order in which they are tried (default: polling, and then the upgrade to
                          websocket)
    --namespace NAME      the namespace, instead of the path of the URL (default /)
    --auth JSON           the object that is sent when a namespace is joined; @FILE reads it from a file
    --header 'NAME: V'    a header of all requests; may be given several times
    --query NAME=VALUE    a parameter of all requests; may be given several times
    --path PATH           the path of the server (default /socket.io/)
    --parser NAME         json or msgpack (default json)
    --eio REVISION        4, or 3 for servers of Socket.IO 1 and 2 (default 4)
    --open-timeout SECS   how long the connection may take to open, and the server then to let it join a namespace (default 20)
TLS and proxies
    --cacert FILE         trust the certificates of this PEM file, instead of those of the system
    --cert FILE, --key FILE
                          the client's certificate and its key, in PEM
    --insecure            accept any certificate: whoever intercepts the connection then reads and changes everything
    --proxy URL           connect through this HTTP or SOCKS5 proxy; `env` takes it from HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY
";

/// What packets look like.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Format {
    Json,
    MsgPack,
    /// Engine.IO revision 3, and the JSON of Socket.IO 1 and 2.
    Revision3,
}

/// Reads the options, and makes a [`Server`] of them.
#[derive(Default, Debug)]
pub(crate) struct ServerOptions {
    url: Option<String>,
    transports: Vec<Transport>,
    namespaces: Vec<String>,
    auth: Option<serde_json::Value>,
    headers: HeaderMap,
    query: Vec<(String, String)>,
    path: Option<String>,
    msgpack: bool,
    revision_3: bool,
    open_timeout: Option<Duration>,
    roots: Option<Vec<u8>>,
    certificate: Option<Vec<u8>>,
    key: Option<Vec<u8>>,
    insecure: bool,
    proxies: Option<Proxies>,
}

/// Where the server is, and how to connect to it.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) url: String,
    /// At least one.
    pub(crate) namespaces: Vec<String>,
    pub(crate) format: Format,
    transports: Vec<Transport>,
    auth: Option<serde_json::Value>,
    headers: HeaderMap,
    query: Vec<(String, String)>,
    path: Option<String>,
    pub(crate) open_timeout: Duration,
    dialer: Arc<Dialer>,
    proxies: Proxies,
}

/// Reads a number of seconds.
pub(crate) fn seconds(value: &OsString) -> Result<Duration, Failure> {
    let text = value.to_str().unwrap_or_default();
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.ok_or_else(|| format!("`{}` is not a number of seconds", value.display()).into())
}

impl ServerOptions {
    /// Takes the URL.
    pub(crate) fn take_url(&mut self, url: OsString) -> Result<(), Failure> {
        if self.url.is_some() {
            return Err(format!("`{}` is one argument too many: there is one URL", url.display()).into());
        }
        self.url = Some(url.string()?);
        Ok(())
    }

    /// Takes the option, if it is one of these. Returns whether it is.
    pub(crate) fn take(&mut self, option: &str, parser: &mut lexopt::Parser) -> Result<bool, Failure> {
        match option {
            "transport" => self.transports.push(match &*parser.value()?.string()? {
                "polling" => Transport::Polling,
                "websocket" => Transport::Link(LinkKind::WebSocket),
                name => return Err(format!("--transport {name}: it is `polling` or `websocket`").into()),
            }),
            "namespace" => self.namespaces.push(with_slash(&parser.value()?.string()?)),
            "auth" => self.auth = Some(auth(&parser.value()?.string()?)?),
            "header" => {
                let (name, value) = header(&parser.value()?.string()?)?;
                self.headers.append(name, value);
            }
            "query" => {
                let parameter = parser.value()?.string()?;
                let (name, value) = parameter.split_once('=').ok_or("--query has the form NAME=VALUE")?;
                self.query.push((name.to_owned(), value.to_owned()));
            }
            "path" => self.path = Some(with_slash(&parser.value()?.string()?)),
            "parser" => match &*parser.value()?.string()? {
                "json" => self.msgpack = false,
                "msgpack" => self.msgpack = true,
                name => return Err(format!("--parser {name}: it is `json` or `msgpack`").into()),
            },
            "eio" => match &*parser.value()?.string()? {
                "3" => self.revision_3 = true,
                "4" => self.revision_3 = false,
                revision => return Err(format!("--eio {revision}: it is 3 or 4").into()),
            },
            "open-timeout" => self.open_timeout = Some(seconds(&parser.value()?)?),
            "cacert" => self.roots = Some(read("cacert", &parser.value()?)?),
            "cert" => self.certificate = Some(read("cert", &parser.value()?)?),
            "key" => self.key = Some(read("key", &parser.value()?)?),
            "insecure" => self.insecure = true,
            "proxy" => {
                self.proxies = Some(match &*parser.value()?.string()? {
                    "env" => Proxies::from_environment()?,
                    url => Proxies::all(url, "")?,
                });
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Checks what the options mean together.
    pub(crate) fn finish(self) -> Result<Server, Failure> {
        let url = self.url.ok_or("the URL of the server is missing, such as http://127.0.0.1:3000")?;
        let (_, in_url) = Target::socketio(&url)?;
        let namespaces = match (self.namespaces.is_empty(), in_url == "/") {
            (true, _) => vec![in_url],
            (false, true) => self.namespaces,
            (false, false) => {
                return Err(format!(
                    "the path of the URL, `{in_url}`, is a namespace as well: leave it out, or --namespace. \
                     The path of the server is --path"
                )
                .into());
            }
        };
        let format = match (self.msgpack, self.revision_3) {
            (false, false) => Format::Json,
            (true, false) => Format::MsgPack,
            (false, true) => Format::Revision3,
            (true, true) => return Err("--parser msgpack needs --eio 4".into()),
        };
        if format == Format::Revision3 && self.auth.is_some() && namespaces.iter().any(|namespace| namespace == "/") {
            return Err("servers of Socket.IO 1 and 2 read no --auth for the namespace /: use --query".into());
        }
        let mut tls = ClientTls::builder();
        tls = match self.roots {
            Some(pem) => tls.root_pem(pem)?,
            None => tls.system_roots(),
        };
        if self.insecure {
            tls = tls.dangerously_accept_any_certificate();
        }
        match (&self.certificate, &self.key) {
            (Some(certificate), Some(key)) => tls = tls.client_certificate_pem(certificate, key)?,
            (None, None) => {}
            _ => return Err("--cert and --key need each other".into()),
        }
        // Reading the roots of the system takes a while, and is not needed without TLS.
        let needs_tls = url.starts_with("https") || url.starts_with("wss") || self.proxies.is_some();
        let dialer = if needs_tls { Dialer::new().with_tls(tls.build()?) } else { Dialer::new() };
        let server = Server {
            url,
            namespaces,
            format,
            transports: self.transports,
            auth: self.auth,
            headers: self.headers,
            query: self.query,
            path: self.path,
            open_timeout: self.open_timeout.unwrap_or(OPEN_TIMEOUT),
            dialer: Arc::new(dialer),
            proxies: self.proxies.unwrap_or_else(Proxies::none),
        };
        // Reports what is wrong with it before anything is shown.
        let _ = server.client()?;
        Ok(server)
    }
}

impl Server {
    /// The builder of a client for this server, without the parser of [`Server::format`].
    pub(crate) fn client(&self) -> Result<ClientBuilder, Failure> {
        let mut builder = ClientBuilder::new(&self.url)?
            .dialer(Arc::clone(&self.dialer))
            .proxies(self.proxies.clone())
            .headers(self.headers.clone())
            .open_timeout(Some(self.open_timeout))
            .cookies(true)
            .compression(true);
        if !self.transports.is_empty() {
            builder = builder.transports(self.transports.iter().copied());
        }
        if let Some(path) = &self.path {
            builder = builder.path(path)?;
        }
        for (name, value) in &self.query {
            builder = builder.query(name, value);
        }
        if let Some(auth) = &self.auth {
            builder = builder.auth(auth)?;
        }
        Ok(builder)
    }
}

fn with_slash(name: &str) -> String {
    if name.starts_with('/') { name.to_owned() } else { format!("/{name}") }
}

fn read(option: &str, file: &OsString) -> Result<Vec<u8>, Failure> {
    fs::read(file).map_err(|error| format!("--{option} {}: {error}", file.display()).into())
}

fn auth(text: &str) -> Result<serde_json::Value, Failure> {
    let text = match text.strip_prefix('@') {
        Some(file) => fs::read_to_string(file).map_err(|error| format!("--auth @{file}: {error}"))?,
        None => text.to_owned(),
    };
    match serde_json::from_str(&text) {
        Ok(auth @ serde_json::Value::Object(_)) => Ok(auth),
        Ok(_) => Err("--auth is not an object of JSON, such as {\"token\":\"..\"}".into()),
        Err(error) => Err(format!("--auth is not JSON: {error}").into()),
    }
}

fn header(text: &str) -> Result<(HeaderName, HeaderValue), Failure> {
    let (name, value) = text.split_once(':').ok_or("--header has the form 'NAME: VALUE'")?;
    let name = name.trim().parse().map_err(|_| format!("--header: `{name}` is not the name of a header"))?;
    let value = value.trim().parse().map_err(|_| format!("--header: the value of `{name}` is not valid"))?;
    Ok((name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(arguments: &[&str]) -> Result<Server, String> {
        let mut parser = lexopt::Parser::from_args(arguments);
        let mut options = ServerOptions::default();
        let mut read = || -> Result<(), Failure> {
            while let Some(argument) = parser.next()? {
                match argument {
                    lexopt::Arg::Long(name) => {
                        let name = name.to_owned();
                        assert!(options.take(&name, &mut parser)?, "{name}");
                    }
                    lexopt::Arg::Value(url) => options.take_url(url)?,
                    lexopt::Arg::Short(_) => panic!("{argument:?}"),
                }
            }
            Ok(())
        };
        read().map_err(|error| error.to_string())?;
        options.finish().map_err(|error| error.to_string())
    }

    fn refused(arguments: &[&str]) -> String {
        server(arguments).map(|server| server.url).unwrap_err()
    }

    #[test]
    fn the_namespace_is_in_the_url_or_in_options() {
        assert_eq!(server(&["http://host"]).unwrap().namespaces, ["/"]);
        assert_eq!(server(&["http://host/admin"]).unwrap().namespaces, ["/admin"]);
        let several = server(&["http://host", "--namespace", "a", "--namespace", "/"]).unwrap();
        assert_eq!(several.namespaces, ["/a", "/"]);
        assert!(refused(&["http://host/admin", "--namespace", "/"]).contains("--path"));
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_what_to_do() {
        for (arguments, advice) in [
            (&["localhost:3000"][..], "http://"),
            (&[], "URL of the server is missing"),
            (&["http://host", "--transport", "carrier-pigeon"], "`polling` or `websocket`"),
            (&["http://host", "--auth", "[1]"], "object"),
            (&["http://host", "--auth", "{}", "--eio", "3"], "--query"),
            (&["http://host", "--parser", "msgpack", "--eio", "3"], "--eio 4"),
            (&["http://host", "--header", "no colon"], "NAME: VALUE"),
            (&["http://host", "--header", "a b: c"], "not the name of a header"),
            (&["http://host", "--header", "a: \u{1}"], "not valid"),
            (&["http://host", "--query", "a"], "NAME=VALUE"),
            (&["http://host", "--cacert", "/nowhere/at.all"], "/nowhere/at.all"),
            (&["http://host", "--open-timeout", "-1"], "seconds"),
            (&["http://host", "--path", "/a b"], "path"),
            (&["https://host", "--insecure", "--cert", "/dev/null"], "each other"),
            (&["http://host", "--proxy", "ftp://proxy"], ""),
        ] {
            let error = refused(arguments);
            assert!(error.contains(advice), "{arguments:?}: {error}");
        }
    }
}
