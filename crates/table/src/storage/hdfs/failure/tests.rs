use super::*;

fn exception(class: &str, message: &str) -> Failure {
    Failure::Hdfs(HdfsError::RPCError(class.to_owned(), message.to_owned()))
}

#[test]
fn each_failure_has_its_kind_and_says_what_to_do() {
    use StorageErrorKind::{Denied, Full, NotFound, Other};
    let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
    for (failure, kind, passing, text) in [
        (
            Failure::Hdfs(HdfsError::FileNotFound("/a".to_owned())),
            NotFound,
            false,
            "no such file",
        ),
        (
            exception("java.io.FileNotFoundException", "File does not exist: /a"),
            NotFound,
            false,
            "no such file",
        ),
        (
            exception(
                "org.apache.hadoop.security.AccessControlException",
                "Permission denied: user=ana, access=WRITE\n\tat org.apache.Checker",
            ),
            Denied,
            false,
            "user=ana, access=WRITE)",
        ),
        (
            Failure::Hdfs(HdfsError::NoSASLMechanism),
            Denied,
            false,
            "Kerberos",
        ),
        (
            exception(
                "org.apache.hadoop.hdfs.protocol.DSQuotaExceededException",
                "The DiskSpace quota of /a is exceeded",
            ),
            Full,
            false,
            "quota",
        ),
        (
            exception(
                "java.io.IOException",
                "File /a could only be written to 0 of the 1 minReplication nodes.",
            ),
            Full,
            false,
            "no DataNode takes the block",
        ),
        (
            exception(
                "org.apache.hadoop.ipc.RetriableException",
                "org.apache.hadoop.hdfs.server.namenode.SafeModeException: Cannot create file/a.",
            ),
            Other,
            true,
            "safe mode",
        ),
        (
            Failure::Hdfs(HdfsError::IOError(refused)),
            Other,
            true,
            "hdfs://nn:8020 cannot be reached",
        ),
        (
            Failure::Timeout(Duration::from_secs(3)),
            Other,
            true,
            "did not answer in time",
        ),
        (Failure::Short, Other, false, "ends before"),
        (
            exception("java.lang.IllegalStateException", "odd"),
            Other,
            false,
            "hdfs://nn:8020 says: java.lang.IllegalStateException: odd",
        ),
    ] {
        assert_eq!(failure.is_passing(), passing, "{failure:?}");
        let error = failure.into_error("hdfs://nn:8020", "read", "hdfs://nn:8020/a");
        assert_eq!(error.kind, kind, "{error}");
        assert!(error.reason.contains(text), "{error}");
        assert!(!error.reason.contains('\n'), "{error}");
    }
}
