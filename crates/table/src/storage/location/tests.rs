use super::*;

fn remote(uri: &str) -> (Root, &str) {
    match Location::parse("read", uri).unwrap() {
        Location::Remote { root, key } => (root, key),
        Location::Local => panic!("{uri} is not local"),
    }
}

#[test]
fn spellings_of_a_scheme_are_one_bucket() {
    let s3 = Root::S3 {
        bucket: "lake".to_owned(),
    };
    for scheme in ["s3", "s3a", "s3n"] {
        assert_eq!(remote(&format!("{scheme}://lake/a/b")).0, s3);
    }
    let gcs = Root::Gcs {
        bucket: "lake".to_owned(),
    };
    assert_eq!(remote("gs://lake/a"), (gcs.clone(), "a"));
    assert_eq!(remote("gcs://lake/a").0, gcs);
    let azure = Root::Azure {
        account: "acme".to_owned(),
        host: "acme.dfs.core.windows.net".to_owned(),
        container: "lake".to_owned(),
    };
    for uri in [
        "abfss://lake@acme.dfs.core.windows.net/a/b",
        "abfs://lake@acme.dfs.core.windows.net/a/b",
        "wasbs://lake@acme.blob.core.windows.net/a/b",
        "wasb://lake@acme.blob.core.windows.net/a/b",
    ] {
        assert_eq!(remote(uri), (azure.clone(), "a/b"));
    }
    let china = remote("abfss://lake@acme.dfs.core.chinacloudapi.cn/a").0;
    assert!(matches!(china, Root::Azure { host, .. } if host == "acme.dfs.core.chinacloudapi.cn"));
}

#[test]
fn hdfs_is_known_by_its_authority() {
    for (uri, url) in [
        ("hdfs://nn:8020/a b/c", "hdfs://nn:8020"),
        ("hdfs://service/a b/c", "hdfs://service"),
        ("hdfs:///a b/c", "hdfs://"),
        ("viewfs://cluster/a b/c", "viewfs://cluster"),
    ] {
        let url = url.to_owned();
        assert_eq!(remote(uri), (Root::Hdfs { url }, "a b/c"));
    }
}

#[test]
fn keys_are_kept_as_they_are_spelled() {
    for key in [
        "a=b/c d/e%20f/é",
        "a//b",
        "a%2Fb",
        "a?b#c",
        "a@b:c",
        "..a/b..",
        "",
        "a/",
    ] {
        assert_eq!(remote(&format!("s3://lake/{key}")).1, key);
    }
    assert_eq!(remote("s3://lake").1, "");
}

#[test]
fn what_names_nothing_is_refused_with_the_reason() {
    for (uri, reason) in [
        ("/data/x", "scheme"),
        ("s3:lake/x", "slashes"),
        ("s3:///x", "no bucket"),
        ("gs://", "no bucket"),
        ("oss://lake/x", "no storage is known for oss:"),
        ("abfss://lake/x", "container@account"),
        ("abfss://@acme.dfs.core.windows.net/x", "container@account"),
        ("s3://lake//x", "begins with a slash"),
        ("s3://lake/a/../x", ".."),
        ("hdfs://nn/a/./x", "part ."),
        ("s3://lake/a\0", "NUL"),
    ] {
        let error = Location::parse("read", uri).unwrap_err();
        assert!(error.reason.contains(reason), "{error}");
        assert!(error.to_string().starts_with("read "), "{error}");
    }
}

#[test]
fn file_uris_are_local() {
    for uri in ["file:///a", "file:/a", "file://localhost/a"] {
        assert_eq!(Location::parse("read", uri).unwrap(), Location::Local);
    }
}
