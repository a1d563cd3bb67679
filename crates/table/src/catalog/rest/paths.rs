//! What the server says of itself, and the addresses that follow from it.

use std::collections::HashMap;

use frazil_dataset::TableName;
use reqwest::Url;

use super::wire::ConfigAnswer;

/// Between the levels of a namespace in a path, unless the server says otherwise: already encoded.
const SEPARATOR: &str = "%1F";

/// The endpoint that gives out credentials alone, as servers list it.
const CREDENTIALS_ENDPOINT: &str =
    "GET /v1/{prefix}/namespaces/{namespace}/tables/{table}/credentials";

/// Properties that are between the client and the catalog, and no business of a storage's.
const OWN_PROPERTIES: [&str; 8] = [
    "uri",
    "prefix",
    "warehouse",
    "namespace-separator",
    "token",
    "credential",
    "oauth2-server-uri",
    "scope",
];

/// A catalog's addresses.
#[derive(Debug, Clone)]
pub(super) struct Paths {
    base: Url,
    prefix: String,
    separator: String,
    /// Whether credentials can be asked for without the table's metadata.
    pub(super) gives_credentials: bool,
}

/// The address that all paths are under.
pub(super) fn base(uri: &str) -> Result<Url, String> {
    let mut url: Url = uri
        .parse()
        .map_err(|e| format!("its address is not valid: {e}"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err("its address does not begin with http:// or https:// and a host".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(
            "its address holds a user or password; take them out, and name the variable or file that holds them"
                .to_owned(),
        );
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("its address holds parameters; take them out".to_owned());
    }
    let path = url.path().trim_end_matches('/').to_owned();
    // Both are often given, and the specification's paths begin with it.
    let path = path.strip_suffix("/v1").unwrap_or(&path).to_owned();
    url.set_path(&path);
    Ok(url)
}

/// Where the server's configuration is.
pub(super) fn config(base: &Url, warehouse: Option<&str>) -> Url {
    let mut url = under(base, "v1/config");
    if let Some(warehouse) = warehouse {
        url.query_pairs_mut().append_pair("warehouse", warehouse);
    }
    url
}

impl Paths {
    /// What the server's configuration makes of the address, and the properties for storages.
    pub(super) fn new(
        base: &Url,
        prefix: Option<&str>,
        config: ConfigAnswer,
    ) -> Result<(Self, HashMap<String, String>), String> {
        let mut properties = config.defaults.unwrap_or_default();
        if let Some(prefix) = prefix {
            properties.insert("prefix".to_owned(), prefix.to_owned());
        }
        properties.extend(config.overrides.unwrap_or_default());
        let base = match properties.get("uri") {
            Some(uri) => self::base(uri).map_err(|e| format!("the server names another: {e}"))?,
            None => base.clone(),
        };
        let text = |key: &str| properties.get(key).cloned();
        let paths = Self {
            base,
            prefix: text("prefix").unwrap_or_default(),
            separator: text("namespace-separator").unwrap_or_else(|| SEPARATOR.to_owned()),
            gives_credentials: config
                .endpoints
                .unwrap_or_default()
                .iter()
                .any(|endpoint| endpoint == CREDENTIALS_ENDPOINT),
        };
        properties.retain(|key, _| !OWN_PROPERTIES.contains(&key.as_str()));
        Ok((paths, properties))
    }

    pub(super) fn namespaces(&self) -> Url {
        self.under("namespaces")
    }

    pub(super) fn namespace(&self, namespace: &[String]) -> Url {
        self.under(&format!("namespaces/{}", self.levels(namespace)))
    }

    /// The namespaces within one.
    pub(super) fn children(&self, parent: &[String]) -> Url {
        let mut url = self.namespaces();
        if !parent.is_empty() {
            // As in a path: encoded once by level, with the separator as the server gave it.
            url.set_query(Some(&format!("parent={}", self.levels(parent))));
        }
        url
    }

    pub(super) fn tables(&self, namespace: &[String]) -> Url {
        self.under(&format!("namespaces/{}/tables", self.levels(namespace)))
    }

    pub(super) fn table(&self, name: &TableName) -> Url {
        let namespace = self.levels(&name.namespace);
        self.under(&format!(
            "namespaces/{namespace}/tables/{}",
            encoded(&name.table)
        ))
    }

    pub(super) fn credentials(&self, name: &TableName) -> Url {
        let mut url = self.table(name);
        let path = format!("{}/credentials", url.path());
        url.set_path(&path);
        url
    }

    fn levels(&self, namespace: &[String]) -> String {
        let levels: Vec<String> = namespace.iter().map(|level| encoded(level)).collect();
        levels.join(&self.separator)
    }

    fn under(&self, path: &str) -> Url {
        if self.prefix.is_empty() {
            under(&self.base, &format!("v1/{path}"))
        } else {
            under(
                &self.base,
                &format!("v1/{}/{path}", self.prefix.trim_matches('/')),
            )
        }
    }
}

fn under(base: &Url, path: &str) -> Url {
    let mut url = base.clone();
    url.set_path(&format!("{}/{path}", base.path().trim_end_matches('/')));
    url
}

/// Percent-encoded but for what needs it nowhere (RFC 3986, "unreserved").
fn encoded(text: &str) -> String {
    use std::fmt::Write as _;
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(json: &str) -> ConfigAnswer {
        serde_json::from_str(json).unwrap()
    }

    fn name(namespace: &[&str], table: &str) -> TableName {
        TableName {
            namespace: namespace.iter().map(|level| (*level).to_owned()).collect(),
            table: table.to_owned(),
        }
    }

    #[test]
    fn addresses_follow_from_the_server_s_configuration() {
        let base = base("https://h:8181/api/catalog/v1/").unwrap();
        assert_eq!(
            config(&base, Some("arn:aws:s3/x y")).as_str(),
            "https://h:8181/api/catalog/v1/config?warehouse=arn%3Aaws%3As3%2Fx+y"
        );
        let (paths, properties) = Paths::new(
            &base,
            Some("ours"),
            answer(
                r#"{"defaults":{"s3.region":"eu"},"overrides":{"prefix":"a/b"},"endpoints":null}"#,
            ),
        )
        .unwrap();
        assert_eq!(properties, [("s3.region".into(), "eu".into())].into());
        assert!(!paths.gives_credentials);
        let table = paths.table(&name(&["a b", "c/d"], "e%"));
        assert_eq!(
            table.as_str(),
            "https://h:8181/api/catalog/v1/a/b/namespaces/a%20b%1Fc%2Fd/tables/e%25"
        );
        let (paths, _) = Paths::new(
            &base,
            Some("ours"),
            answer(
                r#"{"defaults":{"prefix":"theirs","namespace-separator":"%2E"},"overrides":{},
                "endpoints":["GET /v1/{prefix}/namespaces/{namespace}/tables/{table}/credentials"]}"#,
            ),
        )
        .unwrap();
        assert!(paths.gives_credentials);
        assert_eq!(
            paths.credentials(&name(&["a", "b"], "t")).path(),
            "/api/catalog/v1/ours/namespaces/a%2Eb/tables/t/credentials"
        );
        assert_eq!(
            paths.children(&["a".to_owned(), "b".to_owned()]).query(),
            Some("parent=a%2Eb")
        );
        let (paths, _) = Paths::new(
            &base,
            None,
            answer(r#"{"overrides":{"uri":"http://other:1"}}"#),
        )
        .unwrap();
        assert_eq!(paths.namespaces().as_str(), "http://other:1/v1/namespaces");
    }

    #[test]
    fn addresses_that_are_none_are_refused_and_no_password_is_shown() {
        for uri in [
            "ftp://h/",
            "h:8181",
            "",
            "https://u:hush@h/",
            "https://hush@h/",
            "https://h/?token=hush",
        ] {
            let error = base(uri).unwrap_err();
            assert!(!error.contains("hush"), "{error}");
        }
    }
}
