use super::*;

const SECRET: &str = "AKsecretAK";

fn target() -> Target {
    Target {
        service: Service::S3,
        bucket: "bucket lake".to_owned(),
        endpoint: "http://minio:9000".to_owned(),
    }
}

fn answer(kind: ErrorKind, status: u16, message: &str) -> Error {
    Error::new(kind, message)
        .with_context("uri", format!("http://minio:9000/lake/a?sig={SECRET}"))
        .with_context(
            "response",
            format!("Parts {{ status: {status}, version: HTTP/1.1 }}"),
        )
}

fn s3(kind: ErrorKind, status: u16, code: &str) -> Error {
    let message = format!(
        "S3Error {{ code: \"{code}\", message: \"see \\\"x\\\" at http://h/?X-Amz-Signature={SECRET} now\", resource: \"\", request_id: \"1\" }}"
    );
    answer(kind, status, &message)
}

#[test]
fn each_answer_has_its_kind_and_says_what_to_do() {
    use StorageErrorKind::{Denied, Full, NotFound, Other};
    let denied = ErrorKind::PermissionDenied;
    let odd = ErrorKind::Unexpected;
    for (error, kind, text) in [
        (
            s3(ErrorKind::NotFound, 404, "NoSuchKey"),
            NotFound,
            "no such file",
        ),
        (
            answer(ErrorKind::NotFound, 404, ""),
            NotFound,
            "no such file",
        ),
        (
            s3(ErrorKind::ConfigInvalid, 404, "NoSuchBucket"),
            Other,
            "there is no bucket lake at http://minio:9000",
        ),
        (
            s3(denied, 403, "AccessDenied"),
            Denied,
            "give this identity s3:GetObject",
        ),
        (
            s3(denied, 403, "SignatureDoesNotMatch"),
            Denied,
            "the secret in [storage.s3] is not its own",
        ),
        (
            s3(denied, 403, "InvalidAccessKeyId"),
            Denied,
            "does not know the access key id",
        ),
        (s3(denied, 403, "RequestTimeTooSkewed"), Denied, "clock"),
        (s3(odd, 400, "ExpiredToken"), Denied, "expired"),
        (
            answer(odd, 401, "Unauthorized"),
            Denied,
            "does not accept our credentials",
        ),
        (answer(denied, 403, ""), Denied, "HTTP status 403"),
        (
            Error::new(odd, "signing http request").set_source(anyhow_like()),
            Denied,
            "we have no credentials",
        ),
        (s3(odd, 507, "XMinioStorageFull"), Full, "is full"),
        (
            s3(ErrorKind::RateLimited, 503, "SlowDown"),
            Other,
            "fewer requests",
        ),
        (
            answer(ErrorKind::RangeNotSatisfied, 416, ""),
            Other,
            "ends before",
        ),
        (
            Error::new(odd, "io operation timeout reached"),
            Other,
            "did not answer in time",
        ),
        (
            Error::new(odd, "send http request").set_source(anyhow_like()),
            Other,
            "cannot be reached; see that it is up, and its address (send http request: connection refused)",
        ),
        (
            s3(odd, 301, "PermanentRedirect"),
            Other,
            "the bucket lake is in another region; set region in [storage.s3]",
        ),
        (
            s3(odd, 500, "InternalError"),
            Other,
            "http://minio:9000 says: InternalError: see \"x\"",
        ),
    ] {
        let error = target().failed("read", "s3://lake/a", &error);
        assert_eq!(error.kind, kind, "{error}");
        assert!(error.reason.contains(text), "{error}");
        assert!(!error.to_string().contains(SECRET), "{error}");
        assert_eq!(error.path, "s3://lake/a");
    }
}

fn anyhow_like() -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::ConnectionRefused, "connection refused")
}

#[test]
fn a_missing_container_is_no_missing_file() {
    for text in [
        "AzdlsError { code: \"FilesystemNotFound\", message: \"The specified filesystem does not exist.\" }",
        "GcsErrorResponse { error: GcsError { code: 404, message: \"The specified bucket does not exist.\", errors: [] } }",
    ] {
        let error = answer(ErrorKind::NotFound, 404, text);
        assert!(!target().is_missing_file(&error), "{text}");
    }
    let user = s3(ErrorKind::NotFound, 404, "XAdminUserNotFound");
    assert!(!target().is_missing_file(&user));
    let denied = target().failed("read", "s3://lake/a", &user).kind;
    assert_eq!(denied, StorageErrorKind::Denied);
    assert!(target().is_missing_file(&s3(ErrorKind::NotFound, 404, "NoSuchKey")));
}

#[test]
fn long_answers_are_cut() {
    let error = answer(ErrorKind::Unexpected, 500, &"é".repeat(10_000));
    assert!(words(&error).chars().count() <= WORDS_CHARS_MAX + 1);
}
