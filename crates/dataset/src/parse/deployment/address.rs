//! Addresses of servers and folders. They may hold a password by mistake: messages show a scheme at most.

use std::fmt::Write as _;

use std::net::IpAddr;

use super::check::Mistake;
use crate::suggest;

/// An address taken apart: `scheme://user:password@authority/path?query`.
pub(super) struct Address<'a> {
    pub(super) scheme: &'a str,
    /// What stands before the `@`.
    pub(super) user: Option<&'a str>,
    pub(super) has_password: bool,
    /// Host and port, or several of them.
    pub(super) authority: &'a str,
    pub(super) query: Option<&'a str>,
    has_fragment: bool,
}

impl<'a> Address<'a> {
    /// Takes the address of a server apart; `None` where it has no `scheme://`.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let of_scheme = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
        if scheme.is_empty() || !scheme.chars().all(of_scheme) {
            return None;
        }
        let (rest, has_fragment) = match rest.split_once('#') {
            Some((rest, _)) => (rest, true),
            None => (rest, false),
        };
        let (rest, query) = match rest.split_once('?') {
            Some((rest, query)) => (rest, Some(query)),
            None => (rest, None),
        };
        // A password may hold a slash that should have been written as `%2F`: the last `@` counts.
        let (user_info, rest) = match rest.rsplit_once('@') {
            Some((user_info, rest)) => (Some(user_info), rest),
            None => (None, rest),
        };
        let slash = rest.find('/').unwrap_or(rest.len());
        let authority = &rest[..slash];
        let (user, has_password) = match user_info.map(|info| info.split_once(':')) {
            None => (None, false),
            Some(None) => (user_info, false),
            Some(Some((user, _))) => (Some(user), true),
        };
        Some(Self {
            scheme,
            user,
            has_password,
            authority,
            query,
            has_fragment,
        })
    }

    /// The host without its port and brackets.
    fn host(&self) -> Option<&'a str> {
        host_and_port(self.authority).map(|(host, _)| host)
    }

    /// Whether the server is on this machine, so that nobody listens in.
    fn is_loopback(&self) -> bool {
        self.host().is_some_and(is_loopback)
    }
}

/// Whether a host is this machine.
pub(super) fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// `host:port`, `host`, `[::1]:port`; `None` where it is none of these.
pub(super) fn host_and_port(authority: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']')?;
            host.parse::<std::net::Ipv6Addr>().ok()?;
            match after.strip_prefix(':') {
                Some(port) => (host, Some(port)),
                None if after.is_empty() => (host, None),
                None => return None,
            }
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let of_host = |c: char| c.is_alphanumeric() || "-._:%".contains(c);
    if host.is_empty() || !host.chars().all(of_host) {
        return None;
    }
    match port.map(str::parse::<u16>) {
        None => Some((host, None)),
        Some(Ok(port)) if port > 0 => Some((host, Some(port))),
        Some(_) => None,
    }
}

pub(super) const NO_PASSWORD: &str = "the address holds a password, which does not stand in it";

/// Checks the address of an HTTP server; gives it without slashes at its end.
pub(super) fn http(
    path: &str,
    text: &str,
    allow_http: bool,
    allow_key: &str,
) -> Result<String, Mistake> {
    let help = || Some("such as `https://host:8443/path`".to_owned());
    let address = Address::parse(text)
        .filter(|address| matches!(address.scheme, "http" | "https"))
        .ok_or_else(|| (format!("`{path}` takes an address at `https:`"), help()))?;
    if address.user.is_some() {
        let help = "secrets have keys of their own, and are given by reference".to_owned();
        return Err((format!("`{path}`: {NO_PASSWORD}"), Some(help)));
    }
    if address.query.is_some() || address.has_fragment {
        return Err((
            format!("`{path}`: the address ends before any `?` or `#`"),
            help(),
        ));
    }
    if address.host().is_none() {
        return Err((
            format!("`{path}`: the address has no host, or no right port"),
            help(),
        ));
    }
    if address.scheme == "http" && !allow_http && !address.is_loopback() {
        let help = format!("`https:`, or `{allow_key} = true` where the network is trusted");
        let message = format!("`{path}`: by `http:` anybody on the way reads secrets and data");
        return Err((message, Some(help)));
    }
    Ok(text.trim_end_matches('/').to_owned())
}

/// The servers of a Hive Metastore, each as `thrift://host:port`: `thrift://a:9083,thrift://b:9083`, or `thrift://a:9083,b:9083`.
pub(super) fn thrift(text: &str) -> Result<Vec<String>, Mistake> {
    const PORT: u16 = 9083;
    let wrong = |message: &str| {
        let help = "`thrift://metastore:9083`, several with commas between".to_owned();
        Err((message.to_owned(), Some(help)))
    };
    let mut addresses = Vec::new();
    for part in text.split(',').map(str::trim) {
        let authority = part.strip_prefix("thrift://").unwrap_or(part);
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        if authority.contains('@') {
            return wrong("the address holds a user or a password, which do not stand in it");
        }
        if authority.contains("://") {
            return wrong("the addresses of a Hive Metastore are all at `thrift:`");
        }
        let Some((host, port)) = host_and_port(authority) else {
            return wrong("the address of a Hive Metastore is a host and a port");
        };
        let port = port.unwrap_or(PORT);
        addresses.push(if host.contains(':') {
            format!("thrift://[{host}]:{port}")
        } else {
            format!("thrift://{host}:{port}")
        });
    }
    Ok(addresses)
}

/// The path of a SQLite catalog, from its address.
pub(super) fn sqlite(text: &str) -> Result<String, Mistake> {
    let help = || Some("`sqlite:/data/catalog.db`".to_owned());
    let rest = text.strip_prefix("sqlite:").unwrap_or(text);
    if rest.trim_start_matches('/').is_empty() {
        return Err((
            "the address of the catalog names no file".to_owned(),
            help(),
        ));
    }
    if rest.contains(['?', '#', '%']) || rest.starts_with(":memory:") {
        return Err((
            "the address of a SQLite catalog is a plain path".to_owned(),
            help(),
        ));
    }
    Ok(rest.strip_prefix("//").unwrap_or(rest).to_owned())
}

/// The address of a PostgreSQL database with the user in it.
pub(super) fn postgres(text: &str, user: Option<&str>) -> Result<String, Mistake> {
    let help = || Some("`postgresql://user@host:5432/database`".to_owned());
    let by_reference = || {
        Some("`credential = { env = \"NAME\" }` or `{ file = \"/run/secrets/name\" }`".to_owned())
    };
    let Some(address) = Address::parse(text) else {
        return Err((
            "the address of a PostgreSQL catalog has a host".to_owned(),
            help(),
        ));
    };
    if address.has_password {
        return Err((NO_PASSWORD.to_owned(), by_reference()));
    }
    if address.has_fragment {
        return Err(("the address ends before any `#`".to_owned(), help()));
    }
    let mut has_socket = false;
    for parameter in address
        .query
        .unwrap_or("")
        .split('&')
        .filter(|one| !one.is_empty())
    {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        has_socket |= name == "host";
        postgres_parameter(name, value, by_reference)?;
    }
    // `postgresql:///lake?host=/run/postgresql` is a socket of this machine.
    if host_and_port(address.authority).is_none() && !(address.authority.is_empty() && has_socket) {
        return Err((
            "the address has no host, or no right port".to_owned(),
            help(),
        ));
    }
    match (address.user.filter(|user| !user.is_empty()), user) {
        (_, None) => Ok(text.to_owned()),
        (Some(one), Some(other)) if one == percent_encoded(other) => Ok(text.to_owned()),
        (Some(_), Some(_)) => {
            let help = "leave one of them out".to_owned();
            Err((
                "the address has another user than `user`".to_owned(),
                Some(help),
            ))
        }
        (None, Some(user)) => {
            let rest = &text[address.scheme.len() + "://".len()..];
            let rest = rest.strip_prefix('@').unwrap_or(rest);
            Ok(format!(
                "{}://{}@{rest}",
                address.scheme,
                percent_encoded(user)
            ))
        }
    }
}

fn postgres_parameter(
    name: &str,
    value: &str,
    by_reference: impl Fn() -> Option<String>,
) -> Result<(), Mistake> {
    const MODES: [&str; 6] = [
        "disable",
        "allow",
        "prefer",
        "require",
        "verify-ca",
        "verify-full",
    ];
    match name {
        "sslmode" if MODES.contains(&value) => Ok(()),
        "sslmode" => {
            let help = format!("modes are {}", suggest::listed(MODES));
            Err(("`sslmode` in the address is no mode".to_owned(), Some(help)))
        }
        "host" | "options" | "application_name" => Ok(()),
        "password" => Err((NO_PASSWORD.to_owned(), by_reference())),
        "sslrootcert" | "sslcert" | "sslkey" => {
            let message = format!("`{name}` does not stand in the address");
            let help = "`tls = { ca = …, certificate = …, key = { file = … } }`".to_owned();
            Err((message, Some(help)))
        }
        _ => {
            let known = ["sslmode", "host", "options", "application_name"];
            let help = format!("parameters are {}", suggest::listed(known));
            Err((
                "the address has an unknown parameter".to_owned(),
                Some(help),
            ))
        }
    }
}

fn percent_encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // A string takes all.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// Checks where a catalog's tables are to lie: a path, or an absolute URI.
pub(super) fn warehouse(text: &str) -> Result<(), Mistake> {
    const SCHEMES: [&str; 12] = [
        "file", "s3", "s3a", "s3n", "hdfs", "viewfs", "gs", "gcs", "abfss", "abfs", "wasbs", "wasb",
    ];
    let local = || Some("`file:///data/warehouse`, or a path".to_owned());
    let Some((scheme, rest)) = text
        .split_once(':')
        .filter(|(scheme, _)| !scheme.contains('/'))
    else {
        return Ok(());
    };
    if !SCHEMES.contains(&scheme) {
        let help = format!(
            "storages are {}",
            suggest::listed(["file:", "s3:", "hdfs:", "gs:", "abfss:"])
        );
        return Err((format!("`{scheme}:` is not a storage"), Some(help)));
    }
    if scheme == "file" {
        // `file:///x` and `file:/x`; `file://host/x` is another machine's.
        if rest.starts_with("///") || (rest.starts_with('/') && !rest.starts_with("//")) {
            return Ok(());
        }
        return Err((
            "a `file:` warehouse is an absolute path of this machine".to_owned(),
            local(),
        ));
    }
    let is_azure = matches!(scheme, "abfss" | "abfs" | "wasbs" | "wasb");
    let example = match scheme {
        "hdfs" | "viewfs" => format!("`{scheme}://nameservice/warehouse`"),
        _ if is_azure => format!("`{scheme}://container@account.dfs.core.windows.net/warehouse`"),
        _ => format!("`{scheme}://bucket/warehouse`"),
    };
    let wrong = |message: &str| Err((message.to_owned(), Some(example.clone())));
    let (authority, path) = match rest.strip_prefix("//") {
        Some(rest) => rest.split_at(rest.find('/').unwrap_or(rest.len())),
        None => ("", rest),
    };
    let (user, host) = match authority.rsplit_once('@') {
        Some((user, host)) => (Some(user), host),
        None => (None, authority),
    };
    if host.is_empty() {
        return wrong(
            "the warehouse is an absolute URI, with its bucket, container or name service",
        );
    }
    if user.is_some_and(|user| !is_azure || user.contains(':')) {
        return wrong(NO_PASSWORD.replace("address", "warehouse").as_str());
    }
    if is_azure && (user.is_none_or(str::is_empty) || !host.contains('.')) {
        return wrong("the warehouse has no container, or no host of its account");
    }
    if text.contains(['?', '#', '%']) || text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return wrong("the warehouse holds a space or one of % ? #, on which readers disagree");
    }
    if path.split('/').any(|part| part == "." || part == "..") {
        return wrong("the warehouse holds `.` or `..`, which object stores take as names");
    }
    Ok(())
}
