//! What an operator says about a Hive Metastore.

use std::{fmt, str::FromStr, time::Duration};

/// The port of a metastore whose address names none.
const PORT: u16 = 9083;

/// Where a Hive Metastore is, and how its tables are committed to. Holds no secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HiveOptions {
    /// The servers, tried in this order. They share one database and must be of one version.
    pub addresses: Vec<HiveAddress>,
    /// Whether a commit holds the table's lock in the metastore (`hive lock`). Off: a commit is the
    /// swap alone, which is refused where the server does not enforce it, and which writers that
    /// only lock (Java's default) overwrite.
    pub lock: bool,
    /// Whether the servers refuse an alter whose expected value is stale (Hive 4.0 and later do).
    pub enforces_expected_value: Enforcement,
    /// The user as whom the metastore is asked (`set_ugi`), and who holds locks and owns new tables.
    /// None: the server's own user, and `frazil` as holder and owner. It is told, not proven: for
    /// servers without Kerberos.
    pub user: Option<String>,
    /// How long connecting to one server may take, with the look-up of its name.
    pub connect_timeout: Duration,
    /// How long one call may take. An alter that takes longer has an unknown outcome; much shorter
    /// than 20 s, a server that is busy with retries of its own turns failures into unknown outcomes.
    pub call_timeout: Duration,
    /// How long to wait for another's lock before the commit is given up (it was not sent then).
    pub lock_wait_max: Duration,
    /// How long an alter may be under way after the lock was last confirmed. Must be far shorter
    /// than the server's lock timeout (`hive.txn.timeout`, 300 s); never more than a third of what
    /// the server tells as such is used.
    pub lock_hold_max: Duration,
    /// How long an alter of unknown outcome is looked for, the lock still held, on a server that does
    /// not enforce the expected value: one that lands after that may overwrite another's commit.
    pub late_alter_wait_max: Duration,
    /// The longest value of a table parameter, in characters, that is copied from the table's
    /// properties to the metastore. Old metastore databases cut at 4,000.
    pub parameter_value_chars_max: usize,
}

impl HiveOptions {
    /// The usual options for these servers.
    pub fn new(addresses: Vec<HiveAddress>) -> Self {
        Self {
            addresses,
            lock: true,
            enforces_expected_value: Enforcement::Auto,
            user: None,
            connect_timeout: Duration::from_secs(5),
            call_timeout: Duration::from_mins(1),
            lock_wait_max: Duration::from_mins(3),
            lock_hold_max: Duration::from_mins(1),
            late_alter_wait_max: Duration::from_secs(30),
            parameter_value_chars_max: 4_000,
        }
    }
}

/// Whether a server compares `metadata_location` with what an alter expects.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Enforcement {
    /// Tried, once a server and process, with an alter that no server carries out.
    #[default]
    Auto,
    /// It does. Said of one that does not, commits without a lock overwrite each other.
    True,
    /// It does not.
    False,
}

impl FromStr for Enforcement {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "true" => Ok(Self::True),
            "false" => Ok(Self::False),
            _ => Err(format!("{text:?} is none of auto, true, false")),
        }
    }
}

/// One server: a name or an address, and a port.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HiveAddress {
    /// Its name, IPv4 or IPv6 address (without brackets).
    pub host: String,
    /// Its port.
    pub port: u16,
}

impl HiveAddress {
    /// The servers of a list as `hive.metastore.uris` has it: `thrift://a:9083,thrift://b:9083`.
    ///
    /// # Errors
    /// An empty list, another scheme, a bad port, or more than name and port.
    pub fn list(uris: &str) -> Result<Vec<Self>, String> {
        let addresses: Vec<Self> = uris
            .split(',')
            .map(str::trim)
            .filter(|uri| !uri.is_empty())
            .map(str::parse)
            .collect::<Result<_, _>>()?;
        if addresses.is_empty() {
            return Err("no server is named; write thrift://host:9083".to_string());
        }
        Ok(addresses)
    }
}

impl FromStr for HiveAddress {
    type Err = String;

    fn from_str(uri: &str) -> Result<Self, String> {
        let wrong = |what: &str| {
            // What stands before an @ may be a password.
            let shown = uri.rsplit('@').next().unwrap_or(uri);
            Err(format!("{shown:?} {what}; write thrift://host:9083"))
        };
        let Some(rest) = uri.strip_prefix("thrift://") else {
            return wrong("is no address of a metastore");
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.contains(['/', '?', '#', '@']) {
            return wrong("has more than a name and a port");
        }
        let (host, port) = if let Some(rest) = rest.strip_prefix('[') {
            let Some((host, after)) = rest.split_once(']') else {
                return wrong("has an address without its closing bracket");
            };
            match after.strip_prefix(':') {
                Some(port) => (host, Some(port)),
                None if after.is_empty() => (host, None),
                None => return wrong("has something else than a port after the bracket"),
            }
        } else {
            match rest.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (rest, None),
            }
        };
        if host.is_empty() || host.contains(char::is_whitespace) {
            return wrong("names no host");
        }
        let port = match port.map(str::parse) {
            None => PORT,
            Some(Ok(port)) if port > 0 => port,
            Some(_) => return wrong("has no port between 1 and 65535"),
        };
        Ok(Self {
            host: host.to_string(),
            port,
        })
    }
}

impl fmt::Display for HiveAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "thrift://[{}]:{}", self.host, self.port)
        } else {
            write!(f, "thrift://{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read() {
        for (text, shown) in [
            ("thrift://a:9083", "thrift://a:9083"),
            ("thrift://a", "thrift://a:9083"),
            ("thrift://a.b-c:1/", "thrift://a.b-c:1"),
            (
                "thrift://10.0.0.1:9084, thrift://[::1]:9083",
                "thrift://10.0.0.1:9084,thrift://[::1]:9083",
            ),
            ("thrift://[fe80::1]", "thrift://[fe80::1]:9083"),
        ] {
            let read = HiveAddress::list(text).unwrap();
            let all: Vec<String> = read.iter().map(ToString::to_string).collect();
            assert_eq!(all.join(","), shown);
        }
    }

    #[test]
    fn what_is_no_address_is_said() {
        for (text, reason) in [
            ("", "no server"),
            (" , ", "no server"),
            ("http://a:9083", "no address"),
            ("a:9083", "no address"),
            ("thrift://", "names no host"),
            ("thrift://:9083", "names no host"),
            ("thrift://a b", "names no host"),
            ("thrift://a:0", "no port"),
            ("thrift://a:65536", "no port"),
            ("thrift://a:x", "no port"),
            ("thrift://::1", "names no host"),
            ("thrift://[::1", "closing bracket"),
            ("thrift://[::1]x", "after the bracket"),
            ("thrift://a/b", "more than"),
            ("thrift://me:secret@a", "more than"),
        ] {
            let error = HiveAddress::list(text).unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
            assert!(!error.contains("secret"), "{error}");
        }
        assert!("maybe".parse::<Enforcement>().is_err());
        assert_eq!("auto".parse(), Ok(Enforcement::Auto));
    }
}
